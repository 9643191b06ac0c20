//! Writers and readers at the same time.

use crate::reader::{Reader, key, row};
use kollect_model::{Cause, Uid};
use kollect_store::{Store, View, WantedParts};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[test]
fn a_reader_that_follows_busy_writers_ends_with_exactly_the_rows_of_the_store() {
    let store = Arc::new(Store::new());
    let targets = ["a", "b", "c", "d"];
    for target in targets {
        store.ensure_target(&key(target));
        store.set_wanted(&key(target), WantedParts::Namespaces(Arc::new(["ns".into()].into())));
    }
    let view = View::of(targets.iter().map(|target| key(target)).collect());
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = targets
        .into_iter()
        .map(|target| {
            let store = store.clone();
            thread::spawn(move || {
                let mut random = fastrand::Rng::with_seed(7);
                for step in 0..4_000 {
                    let uid = random.u8(..).to_string();
                    if random.u8(..) < 80 {
                        store.remove(&key(target), &Uid::parse(&uid), Cause::Observed);
                    } else {
                        store.upsert(row(target, "ns", &uid, step));
                    }
                }
            })
        })
        .collect();
    let follower = {
        let (store, view, done) = (store.clone(), view.clone(), done.clone());
        thread::spawn(move || {
            let mut reader = Reader::new();
            let mut last = false;
            loop {
                reader.catch_up(&store, &view, 17, || {});
                if last {
                    return reader;
                }
                last = done.load(Ordering::SeqCst);
            }
        })
    };
    for writer in writers {
        writer.join().unwrap();
    }
    done.store(true, Ordering::SeqCst);
    follower.join().unwrap().assert_has(&store, &view, "after the writers stopped");
}
