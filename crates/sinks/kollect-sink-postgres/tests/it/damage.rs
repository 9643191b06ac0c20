//! Noticing that the table is not the one that was written.

use crate::server::{Database, Run, row, upserts};
use kollect_export::Class;

#[tokio::test]
async fn a_new_sink_knows_nothing() {
    let db = Database::new("fresh").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    assert!(!run.intact().await.unwrap());
    run.held().await.unwrap();
    assert!(run.intact().await.unwrap());
    run.apply(upserts(&[row("u", ("shop", "cart"), "{}")])).await.unwrap();
    assert!(run.intact().await.unwrap());
}

#[tokio::test]
async fn truncation_dropping_and_recreation_are_noticed_and_repaired() {
    let db = Database::new("damage").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    let rows = [row("u", ("shop", "cart"), "{}")];
    for damage in [
        "TRUNCATE items",
        "DROP TABLE items",
        "DROP TABLE items; DROP TABLE kollect_writer",
        "CREATE TABLE other (LIKE items INCLUDING ALL); DROP TABLE items; ALTER TABLE other RENAME TO items; \
         ALTER TABLE items OWNER TO kollect",
        "DELETE FROM kollect_writer",
        "DROP TABLE kollect_writer",
    ] {
        run.held().await.unwrap();
        run.apply(upserts(&rows)).await.unwrap();
        assert!(run.intact().await.unwrap(), "before {damage}");
        db.run(damage).await;
        assert!(!run.intact().await.unwrap(), "after {damage}");
        run.held().await.unwrap();
        run.apply(upserts(&rows)).await.unwrap();
        assert_eq!(db.count("source_uid = 'u'").await, 1, "repaired {damage}");
    }
}

#[tokio::test]
async fn a_table_that_vanishes_in_between_is_made_again_by_the_next_attempt() {
    let db = Database::new("vanished").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    let rows = [row("u", ("shop", "cart"), "{}")];
    run.apply(upserts(&rows)).await.unwrap();
    db.run("DROP TABLE items").await;
    let error = run.apply(upserts(&rows)).await.unwrap_err();
    assert!(matches!(error.class, Class::Transient { .. }), "{error}");
    assert_eq!(run.held().await.unwrap(), []);
    run.apply(upserts(&rows)).await.unwrap();
    assert_eq!(db.count("true").await, 1);
}

#[tokio::test]
async fn forgetting_what_is_not_there_is_fine() {
    let db = Database::new("forget_nothing").await;
    let sink = db.sink().await;
    assert_eq!(Run::of(&sink).forget().await.unwrap().rows, 0);
}
