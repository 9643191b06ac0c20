//! Prints how long the usual writes take; asserts nothing about time.

use crate::server::{Database, Run, row, upserts};
use std::time::Instant;

#[tokio::test]
async fn the_usual_writes_are_timed() {
    let db = Database::new("speed").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    run.held().await.unwrap();
    let text = "x".repeat(300);
    let rows: Vec<_> = (0..10_000)
        .map(|at| row(&format!("uid-{at}"), ("shop", "o"), &format!(r#"{{"at":{at},"t":"{text}"}}"#)))
        .collect();
    let began = Instant::now();
    run.apply(upserts(&rows)).await.unwrap();
    println!("10,000 rows, first: {:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(run.held().await.unwrap().len(), 10_000);
    println!("10,000 rows, read back: {:?}", began.elapsed());
    let rows: Vec<_> = (0..10_000)
        .map(|at| row(&format!("uid-{at}"), ("shop", "o"), &format!(r#"{{"at":{at},"t":"{text}y"}}"#)))
        .collect();
    let began = Instant::now();
    assert_eq!(run.apply(upserts(&rows)).await.unwrap().rows, 10_000);
    println!("10,000 rows, changed: {:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(run.apply(upserts(&rows[..1_000])).await.unwrap().rows, 0);
    println!("1,000 rows, unchanged: {:?}", began.elapsed());
    let began = Instant::now();
    for at in 0..100 {
        let one = row("uid-1", ("shop", "o"), &format!(r#"{{"n":{at}}}"#));
        assert_eq!(run.apply(upserts(&[one])).await.unwrap().rows, 1);
    }
    println!("one row: {:?}", began.elapsed() / 100);
    let began = Instant::now();
    for _ in 0..100 {
        assert!(run.intact().await.unwrap());
    }
    println!("intact: {:?}", began.elapsed() / 100);
}
