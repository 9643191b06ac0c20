//! Another writer on the same branch.

use crate::bench::{Bench, REPO, apply, apply_all, batch, delete, held, put, record};
use kollect_export::{FileChange, Landed};
use kollect_model::Digest;
use kollect_sink_git::{GitConfig, GitSink, PushPolicy};

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_moved_keeps_the_other_commit_and_gets_ours_on_top() {
    for push_policy in [PushPolicy::Commit, PushPolicy::ForcePush] {
        let bench = Bench::start().await;
        bench.repos().allow_force_push(REPO).unwrap();
        let sink = GitSink::new(GitConfig { push_policy, ..bench.config() }).unwrap();
        held(&sink, "inv").await.unwrap();
        apply(&sink, batch("inv", [put("inv/a.yaml", "a")])).await.unwrap();
        let theirs = bench.repos().commit_behind(REPO, "main", &[("README.md", "hello")]).unwrap();
        apply(&sink, batch("inv", [put("inv/a.yaml", "a2")])).await.unwrap();
        assert_eq!(bench.files(), ["README.md", "inv/a.yaml"]);
        assert_eq!(bench.git(["rev-parse", "main~1"]).trim(), theirs);
        bench.git(["fsck", "--strict"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_at_once_both_land() {
    let bench = Bench::start().await;
    let other_mirrors = tempfile::tempdir().unwrap();
    let one = bench.sink();
    // Another mirror root has a state of its own, as in another process.
    let two = GitSink::new(GitConfig { mirror_root: other_mirrors.path().into(), ..bench.config() }).unwrap();
    let write = async |sink: &GitSink, name: &str| {
        for round in 0..5 {
            apply(sink, batch(name, [put(&format!("{name}/{round}.yaml"), "x")])).await.unwrap();
        }
    };
    tokio::join!(write(&one, "one"), write(&two, "two"));
    assert_eq!(bench.files().len(), 10);
    assert_eq!(bench.commits(), 10);
    bench.git(["fsck", "--strict"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_recreated_behind_our_back_is_noticed_at_the_next_push_and_restored() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    held(&sink, "inv").await.unwrap();
    let all = || [put("a.yaml", "a"), put("b.yaml", "b")];
    apply(&sink, batch("inv", all())).await.unwrap();
    bench.repos().recreate(REPO).unwrap();
    // Sending only the difference would never restore b.yaml.
    let error = apply(&sink, batch("inv", [put("a.yaml", "a2")])).await.unwrap_err();
    assert_eq!((error.class.label(), error.landed), ("transient", Landed::Unknown), "{error}");
    assert!(held(&sink, "inv").await.unwrap().is_empty());
    apply(&sink, batch("inv", all())).await.unwrap();
    assert_eq!(bench.files(), ["a.yaml", "b.yaml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_ours_that_another_writer_changed_is_compared_and_written_again() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    held(&sink, "inv").await.unwrap();
    apply_all(
        &sink,
        vec![batch("inv", [put("a.yaml", "a"), put("b.yaml", "b")]), batch("other", [put("o.yaml", "o")])],
    )
    .await;
    bench.repos().commit_behind(REPO, "main", &[("b.yaml", "tampered")]).unwrap();
    // The neighbour's export succeeds; the changed inventory needs a comparison even after that.
    apply(&sink, batch("other", [put("o.yaml", "o2")])).await.unwrap();
    let error = apply(&sink, batch("inv", [put("a.yaml", "a2")])).await.unwrap_err();
    assert_eq!(error.landed, Landed::Unknown, "{error}");
    let expected = [("a.yaml".to_owned(), Some(Digest::of(b"a"))), ("b.yaml".to_owned(), None)];
    assert_eq!(held(&sink, "inv").await.unwrap(), expected.into());
    apply(&sink, batch("inv", [put("a.yaml", "a2"), put("b.yaml", "b")])).await.unwrap();
    assert_eq!(bench.show("b.yaml").as_deref(), Some("b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_files_are_reported_as_missing() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    apply(&sink, batch("inv", [put("x/a.yaml", "a"), put("x/b.yaml", "b")])).await.unwrap();
    let clone = tempfile::tempdir().unwrap();
    let dir = clone.path().display().to_string();
    bench.git(["clone", "-q", ".", &dir]);
    bench.git(["-C", &dir, "rm", "-q", "x/a.yaml"]);
    bench.git(["-C", &dir, "-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "gone"]);
    bench.git(["-C", &dir, "push", "-q", "origin", "main"]);
    assert_eq!(held(&sink, "inv").await.unwrap()["x/a.yaml"], None);
    // Deleting it now changes only the record.
    apply(&sink, batch("inv", [delete("x/a.yaml")])).await.unwrap();
    assert_eq!(held(&sink, "inv").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_may_become_a_folder_and_the_other_way_round() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    apply(&sink, batch("inv", [put("a", "file"), put("b/c", "in folder")])).await.unwrap();
    let swap: Vec<FileChange> = vec![delete("a"), delete("b/c"), put("a/x", "in folder"), put("b", "file")];
    apply(&sink, batch("inv", swap)).await.unwrap();
    assert_eq!(bench.files(), ["a/x", "b"]);
    assert!(bench.show(&record("inv")).is_some());
}
