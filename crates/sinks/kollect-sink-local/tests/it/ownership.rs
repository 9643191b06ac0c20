//! Whose files are left alone.

use crate::conformance::read_tree;
use kollect_export::{Class, Family, FileBatch, FileChange, FileSink, HeldFile, Receipt, SinkError};
use kollect_model::Digest;
use kollect_sink_local::LocalSink;
use kollect_testkit::conformance::cycle_parts;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

const RECORD: &str = ".kollect/east/shop/daily/local";

fn put(path: &str, content: &str) -> FileChange {
    let body: Arc<Vec<u8>> = Arc::new(content.as_bytes().to_vec());
    FileChange::Put { path: path.into(), digest: Digest::of(content.as_bytes()), body }
}

fn batch(changes: Vec<FileChange>) -> FileBatch {
    FileBatch { changes, record: RECORD.to_owned(), ..FileBatch::default() }
}

async fn apply(sink: &LocalSink, changes: Vec<FileChange>) -> Result<Receipt, SinkError> {
    let parts = cycle_parts(Family::Snapshot, "shop", "daily");
    sink.apply(vec![(parts.cycle(1), batch(changes))]).await.pop().unwrap()
}

#[tokio::test]
async fn nothing_is_written_through_a_symbolic_link() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    symlink(outside.path(), root.path().join("a")).unwrap();
    fs::write(outside.path().join("mine.yaml"), "mine\n").unwrap();
    symlink(outside.path().join("mine.yaml"), root.path().join("b.yaml")).unwrap();
    let sink = LocalSink::new(root.path());
    for path in ["a/x.yaml", "b.yaml"] {
        let error = apply(&sink, vec![put(path, "ours\n")]).await.unwrap_err();
        assert_eq!((error.class, error.reason), (Class::Terminal, Some("LayoutCollision")), "{error}");
    }
    assert_eq!(read_tree(outside.path()).unwrap().into_values().collect::<Vec<_>>(), [b"mine\n"]);
}

#[tokio::test]
async fn one_refused_file_leaves_everything_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("theirs.yaml"), "theirs\n").unwrap();
    let sink = LocalSink::new(root.path());
    let error = apply(&sink, vec![put("ours.yaml", "ours\n"), put("theirs.yaml", "ours\n")]).await.unwrap_err();
    assert!(error.message.contains("theirs.yaml is owned by somebody other than Kollect"), "{error}");
    assert_eq!(read_tree(root.path()).unwrap().into_keys().collect::<Vec<_>>(), ["theirs.yaml"]);
}

#[tokio::test]
async fn folders_that_become_empty_go_and_those_of_others_stay() {
    let root = tempfile::tempdir().unwrap();
    let sink = LocalSink::new(root.path());
    apply(&sink, vec![put("a/b/one.yaml", "1\n"), put("c/two.yaml", "2\n")]).await.unwrap();
    fs::write(root.path().join("c/note.txt"), "note\n").unwrap();
    let deletes = ["a/b/one.yaml", "c/two.yaml"].map(|path| FileChange::Delete { path: path.into() });
    apply(&sink, deletes.into()).await.unwrap();
    assert!(!root.path().join("a").exists());
    assert_eq!(read_tree(root.path()).unwrap().into_keys().collect::<Vec<_>>(), ["c/note.txt"]);
}

#[tokio::test]
async fn a_dry_run_refuses_the_same_and_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("theirs.yaml"), "theirs\n").unwrap();
    let sink = LocalSink::new(root.path()).dry_run();
    assert_eq!(apply(&sink, vec![put("ours.yaml", "ours\n")]).await.unwrap().rows, 1);
    assert!(apply(&sink, vec![put("theirs.yaml", "ours\n")]).await.is_err());
    assert_eq!(read_tree(root.path()).unwrap().into_keys().collect::<Vec<_>>(), ["theirs.yaml"]);
}

#[tokio::test]
async fn a_file_that_somebody_changed_is_not_held() {
    let root = tempfile::tempdir().unwrap();
    let sink = LocalSink::new(root.path());
    apply(&sink, vec![put("one.yaml", "1\n"), put("two.yaml", "2\n")]).await.unwrap();
    fs::write(root.path().join("two.yaml"), "changed\n").unwrap();
    let parts = cycle_parts(Family::Snapshot, "shop", "daily");
    let mut held = Vec::new();
    sink.held(&parts.cycle(2), RECORD, &mut |file: HeldFile| held.push((file.path.to_string(), file.digest.is_some())))
        .await
        .unwrap();
    held.sort();
    assert_eq!(held, [("one.yaml".to_owned(), true), ("two.yaml".to_owned(), false)]);
}
