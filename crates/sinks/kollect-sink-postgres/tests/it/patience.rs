//! Time limits: a slow server that keeps answering is not a failure, nor is a pool in use.

use crate::server::{Database, Run, binding, row, upserts};
use kollect_export::{AlwaysWrite, Class, Cycle, Landed, Progress, RowSink as _};
use kollect_sink_postgres::{ConnectionPools, PostgresSink};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_that_takes_longer_to_read_than_one_statement_may_is_compared_all_the_same() {
    let db = Database::new("long_read").await;
    let mut config = db.config().await;
    config.statement_timeout = Duration::from_secs(2);
    let sink = PostgresSink::new(config, &ConnectionPools::default()).unwrap();
    let run = Run::of(&sink);
    let rows: Vec<_> = (0..900).map(|n| row(&format!("u{n}"), ("shop", "cart"), "{}")).collect();
    run.apply(upserts(&rows)).await.unwrap();
    // Every row costs 5 ms and more on the server.
    db.run(
        "ALTER TABLE items ENABLE ROW LEVEL SECURITY; ALTER TABLE items FORCE ROW LEVEL SECURITY; \
         CREATE POLICY slow ON items USING (pg_sleep(0.005)::text IS NOT NULL) WITH CHECK (true)",
    )
    .await;
    let start = Instant::now();
    assert_eq!(run.held().await.unwrap().len(), 900);
    assert!(start.elapsed() > Duration::from_secs(2), "{:?}", start.elapsed());
    // A page that does not arrive still runs into the limit.
    db.run("DROP POLICY slow ON items; CREATE POLICY stuck ON items USING (pg_sleep(600)::text IS NOT NULL)").await;
    let error = run.held().await.unwrap_err();
    assert!(matches!(error.class, Class::Transient { .. }) && error.counts_on_breaker(), "{error}");
    assert!(error.message.contains("57014"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_connection_that_other_inventories_use_is_not_counted_against_the_server() {
    let db = Database::new("busy_pool").await;
    let mut config = db.config().await;
    config.max_connections = 1;
    config.statement_timeout = Duration::from_secs(3);
    let pools = ConnectionPools::default();
    let [first, second] = [config.clone(), config].map(|config| PostgresSink::new(config, &pools).unwrap());
    let rows = [row("u", ("shop", "cart"), "{}")];
    Run::of(&first).apply(upserts(&rows)).await.unwrap();
    // The first inventory reads, and takes its time with the first row.
    let (reads, reading) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let busy = tokio::spawn(async move {
        let (of, cancel, progress) = (binding("shop"), CancellationToken::new(), Progress::default());
        let cycle = Cycle { of: &of, number: 1, fence: 1, cancel: &cancel, progress: &progress, right: &AlwaysWrite };
        let mut reads = Some(reads);
        let mut each = move |_| {
            let _ = reads.take().map(|reads| reads.send(()));
            let _ = tokio::task::block_in_place(|| released.recv());
        };
        first.held(&cycle, &mut each).await
    });
    reading.await.unwrap();
    let error = Run::of(&second).apply(upserts(&rows)).await.unwrap_err();
    assert!(error.local && !error.counts_on_breaker() && error.landed == Landed::No, "{error}");
    assert!(error.message.contains("in use by other inventories"), "{error}");
    release.send(()).unwrap();
    // Its own transaction idled for longer than the server allows.
    assert!(busy.await.unwrap().is_err());
    Run::of(&second).apply(upserts(&rows)).await.unwrap();
}
