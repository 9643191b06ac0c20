//! What arrives in the table, and who may write it.

use crate::server::{Database, Run, binding, cluster_target, delete, row, row_of, upserts};
use kollect_export::{Class, Landed, WriteRight};
use kollect_model::Digest;
use kollect_sink_postgres::{ConnectionPools, PostgresSink};
use kollect_testkit::servers::wait_for;
use serde_json::Value;
use std::time::Duration;

#[tokio::test]
async fn rows_are_written_updated_and_deleted() {
    let db = Database::new("rows").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    let (a, b) = (row("u-a", ("shop", "cart"), r#"{"x":1}"#), row("u-b", ("", "node"), r#"{"y":"ü\\u0000"}"#));
    assert_eq!(run.held().await.unwrap(), []);
    let receipt = run.apply(upserts(&[a.clone(), b.clone()])).await.unwrap();
    assert_eq!((receipt.rows, receipt.rejected.len()), (2, 0));
    assert!(receipt.bytes > 0);

    let sql = "SELECT cluster, inventory_namespace, inventory_name, target_namespace, target_name, resource_namespace, \
               payload::text FROM items WHERE source_uid = $1";
    let stored = db.admin.query_one(sql, &[&"u-a"]).await.unwrap();
    let texts: Vec<String> = (0..6).map(|at| stored.get(at)).collect();
    assert_eq!(texts, ["prod", "shop", "inv", "shop", "workloads", "shop"]);
    let payload: Value = serde_json::from_str(stored.get(6)).unwrap();
    assert_eq!(payload, serde_json::from_slice::<Value>(&kollect_model::item_bytes(&a)).unwrap());

    let held = run.held().await.unwrap();
    let seen: Vec<_> = held.iter().map(|h| (h.id.clone(), &*h.object_namespace, h.digest)).collect();
    assert_eq!(seen, [(a.id.clone(), "shop", Some(a.digest)), (b.id.clone(), "", Some(b.digest))]);

    let changed = row("u-a", ("shop", "cart"), r#"{"x":2}"#);
    let receipt = run.apply(vec![kollect_model::Change::Upsert(changed.clone()), delete(&b)]).await.unwrap();
    assert_eq!(receipt.rows, 2);
    assert_eq!(run.held().await.unwrap().iter().map(|h| h.digest).collect::<Vec<_>>(), [Some(changed.digest)]);
}

#[tokio::test]
async fn a_row_that_is_already_there_is_not_touched() {
    let db = Database::new("untouched").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    let rows = [row("u", ("shop", "cart"), "{}")];
    run.apply(upserts(&rows)).await.unwrap();
    let version = "SELECT xmin::text || exported_at::text FROM items";
    let before: String = db.admin.query_one(version, &[]).await.unwrap().get(0);
    assert_eq!(run.apply(upserts(&rows)).await.unwrap().rows, 0);
    assert_eq!(db.admin.query_one(version, &[]).await.unwrap().get::<_, String>(0), before);
}

#[tokio::test]
async fn clusters_and_inventories_do_not_overwrite_each_other() {
    let db = Database::new("separate").await;
    let pools = ConnectionPools::default();
    let here = PostgresSink::new(db.config().await, &pools).unwrap();
    let there = PostgresSink::new(
        kollect_sink_postgres::PostgresConfig { cluster: "test".into(), ..db.config().await },
        &pools,
    )
    .unwrap();
    let other = Run { of: binding("other"), ..Run::of(&here) };
    for run in [&Run::of(&here), &Run::of(&there), &other] {
        run.apply(upserts(&[row("u", ("shop", "cart"), "{}")])).await.unwrap();
    }
    assert_eq!(db.count("source_uid = 'u'").await, 3);
    assert_eq!(Run::of(&here).forget().await.unwrap().rows, 1);
    assert_eq!(Run::of(&here).held().await.unwrap(), []);
    assert_eq!(Run::of(&there).held().await.unwrap().len(), 1);
    assert_eq!(other.held().await.unwrap().len(), 1);
}

#[tokio::test]
async fn rows_of_a_cluster_inventory_come_back_with_cluster_targets() {
    let db = Database::new("cluster_rows").await;
    let sink = db.sink().await;
    let run = Run { of: binding("cluster"), ..Run::of(&sink) };
    let mine = row_of(&cluster_target("shop", "all"), "u", ("shop", "cart"), "{}");
    run.apply(upserts(std::slice::from_ref(&mine))).await.unwrap();
    assert_eq!(run.held().await.unwrap()[0].id, mine.id);
}

#[tokio::test]
async fn a_former_leader_cannot_write_after_the_new_one_compared() {
    let db = Database::new("fence").await;
    let (sink, later) = (db.sink().await, db.sink().await);
    let (old, new) = (Run::of(&sink).fence(5), Run::of(&later).fence(6));
    old.held().await.unwrap();
    old.apply(upserts(&[row("u", ("shop", "cart"), "{}")])).await.unwrap();
    assert!(old.intact().await.unwrap());
    assert_eq!(new.held().await.unwrap().len(), 1);
    for error in [
        old.apply(upserts(&[row("v", ("shop", "pay"), "{}")])).await.unwrap_err(),
        old.held().await.unwrap_err(),
        old.forget().await.unwrap_err(),
    ] {
        assert!(matches!(error.class, Class::Transient { .. }), "{error}");
        assert!(error.message.contains("another leader"), "{error}");
        assert_eq!(error.landed, Landed::No);
    }
    assert!(!old.intact().await.unwrap());
    new.apply(upserts(&[row("w", ("shop", "pay"), "{}")])).await.unwrap();
    assert_eq!(db.count("true").await, 2);
}

struct Never;

impl WriteRight for Never {
    fn may_write(&self) -> bool {
        false
    }
    fn fence(&self) -> u64 {
        9
    }
}

#[tokio::test]
async fn without_the_right_to_write_nothing_is_committed() {
    let db = Database::new("right").await;
    let sink = db.sink().await;
    Run::of(&sink).held().await.unwrap();
    let run = Run { right: &Never, ..Run::of(&sink) };
    let error = run.apply(upserts(&[row("u", ("shop", "cart"), "{}")])).await.unwrap_err();
    assert_eq!((error.stage, error.landed), ("lease", Landed::No));
    assert_eq!(db.count("true").await, 0);
}

#[tokio::test]
async fn many_rows_go_by_copy_with_their_deletes() {
    let db = Database::new("copy").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    let name = |at: usize| format!("o-{at}");
    let rows: Vec<_> = (0..10_000)
        .map(|at| row(&format!("uid-{at}"), ("shop", &name(at)), &format!(r#"{{"at":{at},"text":"a\tb\"c"}}"#)))
        .collect();
    assert_eq!(run.apply(upserts(&rows)).await.unwrap().rows, 10_000);
    let digests = |rows: &[std::sync::Arc<kollect_model::Row>]| {
        let mut digests: Vec<Digest> = rows.iter().map(|row| row.digest).collect();
        digests.sort();
        digests
    };
    let held = async || {
        let mut held: Vec<Digest> = run.held().await.unwrap().into_iter().filter_map(|row| row.digest).collect();
        held.sort();
        held
    };
    assert_eq!(held().await, digests(&rows));
    let mut changes: Vec<_> = rows[..4_000].iter().map(|row| delete(row)).collect();
    changes.extend(upserts(&rows[4_000..]));
    assert_eq!(run.apply(changes).await.unwrap().rows, 4_000);
    assert_eq!(held().await, digests(&rows[4_000..]));
}

#[tokio::test]
async fn a_few_deletions_do_not_read_the_rows_that_stay() {
    let db = Database::new("few_deletions").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    let rows: Vec<_> = (0..20_000).map(|at| row(&format!("uid-{at}"), ("shop", "cart"), "{}")).collect();
    run.apply(upserts(&rows)).await.unwrap();
    let counters = "SELECT n_tup_del, coalesce(idx_tup_fetch, 0) + seq_tup_read FROM pg_stat_user_tables \
                    WHERE relname = 'items'";
    let read = async || {
        let row = db.admin.query_one(counters, &[]).await?;
        anyhow::Ok((row.get::<_, i64>(0), row.get::<_, i64>(1)))
    };
    let before = read().await.unwrap().1;
    let gone: Vec<_> = rows[..100].iter().map(|row| delete(row)).collect();
    assert_eq!(run.apply(gone).await.unwrap().rows, 100);
    // The server counts a little later.
    wait_for("the deletions are counted", Duration::from_secs(20), async || Ok(read().await?.0 == 100)).await.unwrap();
    let fetched = read().await.unwrap().1 - before;
    assert!(fetched <= 1_000, "{fetched} rows were read to delete 100 of 20,000");
}

#[tokio::test]
async fn the_cycle_shows_in_the_activity_of_the_server() {
    let db = Database::new("activity").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    run.apply(upserts(&[row("u", ("shop", "cart"), "{}")])).await.unwrap();
    db.run(
        "CREATE TABLE names (name text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
         $$ BEGIN INSERT INTO public.names VALUES (current_setting('application_name')); RETURN NEW; END $$; \
         CREATE TRIGGER note AFTER INSERT ON items FOR EACH STATEMENT EXECUTE FUNCTION note()",
    )
    .await;
    run.apply(upserts(&[row("v", ("shop", "cart"), "{}")])).await.unwrap();
    let name: String = db.admin.query_one("SELECT name FROM names", &[]).await.unwrap().get(0);
    assert_eq!(name, "shop/inv:database/pg#7@1");
}
