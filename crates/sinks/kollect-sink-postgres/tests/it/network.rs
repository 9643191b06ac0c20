//! A network that fails at every point of a write.

use crate::server::{Database, Run, row, server, upserts};
use kollect_export::{Class, Landed};
use kollect_model::Change;
use kollect_sink_postgres::{ConnectionPools, PostgresConfig, PostgresSink};
use kollect_testkit::fault_proxy::{TcpFault, TcpProxy, Trigger};
use kollect_testkit::servers::Postgres;
use std::time::Duration;

/// A sink that reaches the server through the proxy, with one open connection.
async fn behind(db: &Database, proxy: &TcpProxy, statement_timeout: Duration) -> PostgresSink {
    let dsn = server().await.url_at("localhost", proxy.port(), &db.name).into();
    let sink =
        PostgresSink::new(PostgresConfig { dsn, statement_timeout, ..db.config().await }, &ConnectionPools::default())
            .unwrap();
    Run::of(&sink).held().await.unwrap();
    sink
}

async fn proxy() -> TcpProxy {
    TcpProxy::start(([127, 0, 0, 1], server().await.port()).into()).await.unwrap()
}

fn changes(mark: &str, count: usize) -> Vec<Change> {
    let rows: Vec<_> = (0..count).map(|at| row(&format!("{mark}-{at}"), ("shop", "cart"), "{}")).collect();
    upserts(&rows)
}

#[tokio::test]
async fn an_answer_lost_at_any_point_never_claims_too_much_or_too_little() {
    let db = Database::new("lost_answers").await;
    let proxy = proxy().await;
    let (mut failed, mut landed) = (0, 0);
    for count in [3, 2_100] {
        // How many bytes a write sends; then answers are dropped at points spread over it, and close to its end.
        let sink = behind(&db, &proxy, Duration::from_secs(20)).await;
        let sent = || proxy.connections().last().unwrap().sent;
        let before = sent();
        Run::of(&sink).apply(changes("0000000", count)).await.unwrap();
        let total = sent() - before;
        let points = (0..8).map(|eighth| total * eighth / 8).chain((0..8).map(|back| total - 8 * back));
        for (number, at) in points.enumerate() {
            proxy.heal();
            let sink = behind(&db, &proxy, Duration::from_secs(20)).await;
            let mark = format!("{count:04}-{number:02}");
            proxy.set(TcpFault::DropAnswer(Trigger::ClientBytes(sent() + at)));
            let result = Run::of(&sink).apply(changes(&mark, count)).await;
            let stored = db.count(&format!("source_uid LIKE '{mark}-%'")).await;
            match result {
                Ok(_) => assert_eq!(stored, i64::try_from(count).unwrap(), "{mark}"),
                Err(error) => {
                    failed += 1;
                    assert!(matches!(error.class, Class::Transient { .. }), "{mark}: {error}");
                    assert!(stored == 0 || stored == i64::try_from(count).unwrap(), "{mark}: {stored} rows");
                    if stored > 0 {
                        landed += 1;
                        assert_eq!(error.landed, Landed::Unknown, "{mark}: {error}");
                    }
                }
            }
        }
        proxy.heal();
    }
    assert!(failed > 5 && landed > 0, "the faults missed the write: {failed} failed, {landed} of them landed");
}

#[tokio::test]
async fn a_connection_reset_while_reading_back_is_transient() {
    let db = Database::new("reset").await;
    let direct = db.sink().await;
    Run::of(&direct).apply(changes("r", 3_000)).await.unwrap();
    let proxy = proxy().await;
    let sink = behind(&db, &proxy, Duration::from_secs(20)).await;
    let received = proxy.connections().last().unwrap().received;
    proxy.set(TcpFault::ResetAfter(received + 20_000));
    let error = Run::of(&sink).held().await.unwrap_err();
    assert!(matches!(error.class, Class::Transient { .. }), "{error}");
    assert!(!error.to_string().contains(Postgres::USER), "{error}");
    proxy.heal();
    assert_eq!(Run::of(&sink).held().await.unwrap().len(), 3_000);
}

#[tokio::test]
async fn a_network_that_delivers_nothing_runs_into_the_deadline() {
    let db = Database::new("stall").await;
    let proxy = proxy().await;
    let sink = behind(&db, &proxy, Duration::from_millis(100)).await;
    proxy.set(TcpFault::Stall);
    let error = Run::of(&sink).apply(changes("s", 1)).await.unwrap_err();
    assert!(matches!(error.class, Class::Transient { .. }), "{error}");
    proxy.heal();
    Run::of(&sink).apply(changes("s", 1)).await.unwrap();
}
