//! After a kill at any step, the next run ends with exactly the wanted files and counts all of them as its own.

use crate::conformance::read_tree;
use kollect_export::{Family, FileBatch, FileChange, FileSink, HeldFile};
use kollect_model::Digest;
use kollect_sink_local::LocalSink;
use kollect_testkit::conformance::cycle_parts;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const RECORD: &str = ".kollect/east/shop/daily/local";
/// Environment variable with the directory that the child writes to.
const CHILD: &str = "KOLLECT_TEST_DIRECTORY";

type Wanted = BTreeMap<&'static str, &'static str>;

fn before() -> Wanted {
    BTreeMap::from([("a/one.yaml", "1\n"), ("a/two.yaml", "2\n"), ("b/three.yaml", "3\n")])
}

fn after() -> Wanted {
    BTreeMap::from([("a/one.yaml", "changed\n"), ("a/two.yaml", "2\n"), ("c", "file\n"), ("d/four.yaml", "4\n")])
}

/// Compares and writes the difference.
async fn bring(root: &Path, wanted: &Wanted) {
    let sink = LocalSink::new(root);
    let parts = cycle_parts(Family::Snapshot, "shop", "daily");
    let mut held = BTreeMap::new();
    sink.held(&parts.cycle(1), RECORD, &mut |file: HeldFile| {
        held.insert(file.path, file.digest);
    })
    .await
    .unwrap();
    let gone = held.keys().filter(|path| !wanted.contains_key(&***path));
    let mut changes: Vec<_> = gone.map(|path| FileChange::Delete { path: path.clone() }).collect();
    for (path, content) in wanted {
        let digest = Digest::of(content.as_bytes());
        if held.get(*path) != Some(&Some(digest)) {
            let body: Arc<Vec<u8>> = Arc::new(content.as_bytes().to_vec());
            changes.push(FileChange::Put { path: (*path).into(), digest, body });
        }
    }
    let batch = FileBatch { changes, record: RECORD.to_owned(), ..FileBatch::default() };
    sink.apply(vec![(parts.cycle(1), batch)]).await.pop().unwrap().unwrap();
}

#[tokio::test]
async fn child_that_writes_and_may_be_killed() {
    if let Some(root) = std::env::var_os(CHILD) {
        bring(Path::new(&root), &after()).await;
    }
}

#[tokio::test]
async fn killed_at_any_point_the_next_run_finishes() {
    for point in ["local_record_written", "local_file_written", "local_file_written:2", "local_file_written:3"] {
        let root = tempfile::tempdir().unwrap();
        bring(root.path(), &before()).await;
        let died = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::child_that_writes_and_may_be_killed"])
            .env(CHILD, root.path())
            .env("KOLLECT_KILL_AT", point)
            .output()
            .unwrap();
        assert!(!died.status.success(), "{point} was not reached");
        // Nothing half written: each file has its old or its new content, or is not there.
        for (path, content) in read_tree(root.path()).unwrap().iter().filter(|(path, _)| !path.starts_with(".kollect"))
        {
            let known = [before().get(&**path).copied(), after().get(&**path).copied()];
            assert!(known.contains(&std::str::from_utf8(content).ok()), "{point}: {path}");
        }
        bring(root.path(), &after()).await;
        let mut files = read_tree(root.path()).unwrap();
        files.retain(|path, _| path != RECORD);
        let wanted: BTreeMap<_, _> =
            after().into_iter().map(|(path, content)| (path.to_owned(), content.as_bytes().to_vec())).collect();
        assert_eq!(files, wanted, "{point}");
    }
}
