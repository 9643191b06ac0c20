//! Nothing is written over what the binding does not own.

use crate::bench::{Bench, REPO, apply, apply_all, batch, held, put, read};

#[tokio::test(flavor = "multi_thread")]
async fn a_path_of_another_inventory_is_a_collision_that_names_the_owner() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    apply(&sink, batch("first", [put("shared.yaml", "1")])).await.unwrap();
    let outcomes =
        apply_all(&sink, vec![batch("second", [put("shared.yaml", "2")]), batch("third", [put("t.yaml", "3")])]).await;
    let error = outcomes[0].as_ref().unwrap_err();
    assert_eq!((error.class.label(), error.reason), ("terminal", Some("LayoutCollision")));
    assert!(error.message.contains("shared.yaml") && error.message.contains("shop/first"), "{error}");
    assert!(outcomes[1].is_ok(), "{:?}", outcomes[1]);
    assert_eq!(bench.show("shared.yaml").as_deref(), Some("1"));
    assert_eq!(bench.files(), ["shared.yaml", "t.yaml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_nobody_recorded_is_never_overwritten() {
    let bench = Bench::start().await;
    bench.repos().commit_behind(REPO, "main", &[("README.md", "hello"), ("docs/a.md", "x")]).unwrap();
    let sink = bench.sink();
    for path in ["README.md", "README.md/x.yaml", "docs"] {
        let error = apply(&sink, batch("inv", [put(path, "mine")])).await.unwrap_err();
        assert_eq!(error.reason, Some("LayoutCollision"), "{path}: {error}");
        assert!(error.message.contains(path), "{error}");
    }
    assert_eq!(bench.commits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_git_or_the_records_cannot_take_are_refused() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    for path in
        ["", "/a", "a//b", "../a", "a/./b", ".git/config", "x/.GIT/hooks", ".kollect/c1/shop/other/repo", "a\0b"]
    {
        let error = apply(&sink, batch("inv", [put(path, "x")])).await.unwrap_err();
        assert_eq!(error.class.label(), "terminal", "{path}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_record_are_read_back_as_they_are_also_without_a_mirror() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    assert_eq!(read(&sink, "inv", "inv/a.yaml").await.unwrap(), None, "there is no branch yet");
    apply_all(&sink, vec![batch("inv", [put("inv/a.yaml", "- ü\n")]), batch("other", [put("other.yaml", "1")])]).await;
    assert_eq!(read(&sink, "inv", "inv/a.yaml").await.unwrap().as_deref(), Some("- ü\n"));
    assert_eq!(read(&sink, "inv", "other.yaml").await.unwrap(), None, "it is in another record");
    assert_eq!(read(&sink, "inv", "inv/gone.yaml").await.unwrap(), None);

    bench.lose_mirrors();
    assert_eq!(read(&sink, "inv", "inv/a.yaml").await.unwrap().as_deref(), Some("- ü\n"));
    bench.repos().commit_behind(REPO, "main", &[("inv/a.yaml", "mine")]).unwrap();
    held(&sink, "inv").await.unwrap();
    bench.lose_mirrors();
    assert_eq!(read(&sink, "inv", "inv/a.yaml").await.unwrap().as_deref(), Some("mine"));
    assert_eq!(read(&bench.sink(), "inv", "inv/a.yaml").await.unwrap().as_deref(), Some("mine"));
    let large = "x".repeat(usize::try_from(kollect_export::LARGEST_READ).unwrap() + 1);
    bench.repos().commit_behind(REPO, "main", &[("inv/a.yaml", &large)]).unwrap();
    held(&sink, "inv").await.unwrap();
    let error = read(&sink, "inv", "inv/a.yaml").await.unwrap_err();
    assert!(error.class.label() == "terminal" && error.message.contains("reads back at most"), "{error}");
}
