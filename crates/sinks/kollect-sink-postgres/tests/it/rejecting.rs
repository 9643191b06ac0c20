//! Rows that the server does not take.

use crate::server::{Database, Run, row, upserts};
use kollect_export::Class;
use std::sync::Arc;

#[tokio::test]
async fn a_row_with_nul_is_named_and_the_rest_goes_on() {
    let db = Database::new("nul").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    let (good, bad) = (row("good", ("shop", "a"), "{}"), row("bad", ("shop", "b"), r#"{"secret":"s3cr3t\u0000"}"#));
    let receipt = run.apply(upserts(&[bad.clone(), good.clone()])).await.unwrap();
    assert_eq!(receipt.rows, 1);
    assert_eq!(receipt.rejected.len(), 1);
    assert_eq!(receipt.rejected[0].id, bad.id);
    assert!(!receipt.rejected[0].why.contains("s3cr3t"));
    assert_eq!(run.apply(upserts(&[bad])).await.unwrap().rejected.len(), 1);
    assert_eq!(db.count("true").await, 1);
}

/// Makes the server refuse some rows as it would refuse values it cannot store.
const PICKY: &str = "CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NEW.payload->'attributes' ? 'poison' THEN RAISE EXCEPTION 'no s3cr3t' USING ERRCODE = '22023'; END IF; \
    RETURN NEW; END $$; CREATE TRIGGER picky BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION picky()";

#[tokio::test]
async fn rows_that_the_server_refuses_are_found_in_small_and_large_batches() {
    let db = Database::new("picky").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    run.held().await.unwrap();
    db.run(PICKY).await;
    for count in [50, 3_000] {
        let rows: Vec<_> = (0..count)
            .map(|at| {
                let attributes = if at % 1_000 == 17 { r#"{"poison":1}"# } else { "{}" };
                row(&format!("{count}-{at}"), ("shop", "x"), attributes)
            })
            .collect();
        let receipt = run.apply(upserts(&rows)).await.unwrap();
        let bad: Vec<_> = rows.iter().skip(17).step_by(1_000).map(|row| row.id.clone()).collect();
        let mut named: Vec<_> = receipt.rejected.iter().map(|rejected| rejected.id.clone()).collect();
        named.sort();
        assert_eq!(named, {
            let mut bad = bad.clone();
            bad.sort();
            bad
        });
        assert!(receipt.rejected.iter().all(|rejected| !rejected.why.contains("s3cr3t")));
        assert_eq!(receipt.rows, u64::try_from(count - bad.len()).unwrap());
    }
    assert!(run.intact().await.unwrap());
}

#[tokio::test]
async fn a_refused_statement_is_terminal_and_changes_nothing() {
    let db = Database::new("constraint").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    run.held().await.unwrap();
    db.run("ALTER TABLE items ADD CONSTRAINT small CHECK (length(source_uid) < 3)").await;
    let rows = [row("u", ("shop", "a"), "{}"), row("long-s3cr3t", ("shop", "b"), "{}")];
    let error = run.apply(upserts(&rows)).await.unwrap_err();
    assert_eq!(error.class, Class::Terminal);
    assert!(error.message.contains("23514") && !error.message.contains("s3cr3t"), "{error}");
    assert_eq!(db.count("true").await, 0);
    run.apply(upserts(&rows[..1])).await.unwrap();
}

#[tokio::test]
async fn the_same_key_twice_in_a_batch_does_not_fail_the_batch() {
    let db = Database::new("twice").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    let rows: Vec<Arc<_>> = ["{}", r#"{"x":1}"#].iter().map(|json| row("u", ("shop", "a"), json)).collect();
    run.apply(upserts(&rows)).await.unwrap();
    assert_eq!(db.count("true").await, 1);
}
