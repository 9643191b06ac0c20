//! Files that the sink does not own stay as they are.

use crate::conformance::read_tree;
use kollect_export::{Class, Family, FileBatch, FileChange, FileSink, HeldFile, Receipt, SinkError};
use kollect_model::Digest;
use kollect_model::Reason;
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
        assert_eq!((error.class, error.reason), (Class::Terminal, Some(Reason::LayoutCollision)), "{error}");
    }
    assert_eq!(read_tree(outside.path()).unwrap().into_values().collect::<Vec<_>>(), [b"mine\n"]);
}

#[tokio::test]
async fn records_are_neither_written_nor_read_through_a_symbolic_link() {
    for link in [".kollect", ".kollect/east", ".kollect/east/shop/daily", RECORD] {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(outside.path().join(".tmp-1")).unwrap();
        fs::write(outside.path().join("mine.txt"), "mine\n").unwrap();
        let at = root.path().join(link);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(outside.path(), &at).unwrap();
        let sink = LocalSink::new(root.path());
        let parts = cycle_parts(Family::Snapshot, "shop", "daily");
        let cycle = parts.cycle(1);
        let errors = [
            apply(&sink, vec![put("a.yaml", "ours\n")]).await.map(|_| ()).unwrap_err(),
            sink.held(&cycle, RECORD, &mut |_| ()).await.map(|_| ()).unwrap_err(),
            sink.forget(&cycle, batch(Vec::new())).await.map(|_| ()).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(
                (error.class, error.reason),
                (Class::Terminal, Some(Reason::LayoutCollision)),
                "{link}: {error}"
            );
            assert!(error.message.contains(&format!("the symbolic link {link}")), "{link}: {error}");
        }
        assert_eq!(read_tree(outside.path()).unwrap().into_keys().collect::<Vec<_>>(), ["mine.txt"]);
        assert!(outside.path().join(".tmp-1").exists());
        assert!(!root.path().join("a.yaml").exists());
    }
}

#[tokio::test]
async fn files_that_became_links_are_not_held_and_left_alone() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sink = LocalSink::new(root.path());
    apply(&sink, vec![put("a/one.yaml", "1\n"), put("b/two.yaml", "2\n")]).await.unwrap();
    // The same contents, but elsewhere.
    fs::rename(root.path().join("a"), outside.path().join("a")).unwrap();
    symlink(outside.path().join("a"), root.path().join("a")).unwrap();
    fs::rename(root.path().join("b/two.yaml"), outside.path().join("two.yaml")).unwrap();
    symlink(outside.path().join("two.yaml"), root.path().join("b/two.yaml")).unwrap();
    let parts = cycle_parts(Family::Snapshot, "shop", "daily");
    let mut held = Vec::new();
    sink.held(&parts.cycle(2), RECORD, &mut |file: HeldFile| held.push(file.digest)).await.unwrap();
    assert_eq!(held, [None, None]);
    for change in [put("a/one.yaml", "new\n"), put("b/two.yaml", "new\n")] {
        assert!(apply(&sink, vec![change]).await.is_err());
    }
    for path in ["a/one.yaml", "b/two.yaml"] {
        assert!(apply(&sink, vec![FileChange::Delete { path: path.into() }]).await.is_err());
    }
    assert_eq!(read_tree(outside.path()).unwrap().into_values().collect::<Vec<_>>(), [b"1\n", b"2\n"]);
}

#[tokio::test]
async fn one_refused_file_leaves_everything_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("theirs.yaml"), "theirs\n").unwrap();
    let sink = LocalSink::new(root.path());
    let error = apply(&sink, vec![put("ours.yaml", "ours\n"), put("theirs.yaml", "ours\n")]).await.unwrap_err();
    assert!(error.message.contains("theirs.yaml is owned by something other than Kollect"), "{error}");
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
async fn a_file_that_was_changed_outside_of_kollect_is_not_held() {
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
