//! Nothing is written over what the binding does not own.

use crate::bench::{Bench, REPO, apply, apply_all, batch, delete, held, put, read};
use kollect_model::Reason;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

#[tokio::test(flavor = "multi_thread")]
async fn a_path_of_another_inventory_is_a_collision_that_names_the_owner() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    apply(&sink, batch("first", [put("shared.yaml", "1")])).await.unwrap();
    let outcomes =
        apply_all(&sink, vec![batch("second", [put("shared.yaml", "2")]), batch("third", [put("t.yaml", "3")])]).await;
    let error = outcomes[0].as_ref().unwrap_err();
    assert_eq!((error.class.label(), error.reason), ("terminal", Some(Reason::LayoutCollision)));
    assert!(error.message.contains("shared.yaml") && error.message.contains("shop/first"), "{error}");
    assert!(outcomes[1].is_ok(), "{:?}", outcomes[1]);
    assert_eq!(bench.show("shared.yaml").as_deref(), Some("1"));
    assert_eq!(bench.files(), ["shared.yaml", "t.yaml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_no_record_lists_is_never_overwritten() {
    let bench = Bench::start().await;
    bench.repos().commit_behind(REPO, "main", &[("README.md", "hello"), ("docs/a.md", "x")]).unwrap();
    let sink = bench.sink();
    for path in ["README.md", "README.md/x.yaml", "docs"] {
        let error = apply(&sink, batch("inv", [put(path, "mine")])).await.unwrap_err();
        assert_eq!(error.reason, Some(Reason::LayoutCollision), "{path}: {error}");
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

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_through_a_link_or_a_submodule_of_the_repository() {
    let bench = Bench::start().await;
    apply(&bench.sink(), batch("owner", [put("theirs.yaml", "1")])).await.unwrap();
    link(
        &bench,
        &[("file.yaml", "theirs.yaml"), ("folder", "/etc"), (".kollect/c1/shop/linked", "../../c1/shop/owner")],
    );
    bench.lose_mirrors();
    let sink = bench.sink();
    for path in ["file.yaml", "folder", "folder/x.yaml", "module", "module/x.yaml"] {
        let error = apply(&sink, batch("inv", [put(path, "mine")])).await.unwrap_err();
        assert_eq!((error.class.label(), error.reason), ("terminal", Some(Reason::LayoutCollision)), "{path}: {error}");
    }
    // Its record would be in the folder of another inventory.
    let error = apply(&sink, batch("linked", [put("linked.yaml", "mine")])).await.unwrap_err();
    assert_eq!(error.class.label(), "terminal", "{error}");
    assert!(error.message.contains("is where its folder belongs"), "{error}");
    assert_eq!(bench.show("theirs.yaml").as_deref(), Some("1"));
    assert_eq!(bench.commits(), 2);
}

/// Commits links and a submodule, behind the sink's back.
fn link(bench: &Bench, links: &[(&str, &str)]) {
    let mut text =
        "commit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 1\nx\nfrom refs/heads/main^0\n".to_owned();
    for (path, to) in links {
        writeln!(text, "M 120000 inline {path}\ndata {}\n{to}", to.len()).unwrap();
    }
    writeln!(text, "M 160000 {} module", "1".repeat(40)).unwrap();
    let path = bench.repos().path(REPO);
    let mut import =
        Command::new("git").arg("-C").arg(path).args(["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_also_a_folder_of_another_path_is_a_collision() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    for paths in [["a", "a/b.yaml"], ["c/d.yaml", "c"]] {
        let error = apply(&sink, batch("inv", paths.map(|path| put(path, "x")))).await.unwrap_err();
        assert_eq!(
            (error.class.label(), error.reason),
            ("terminal", Some(Reason::LayoutCollision)),
            "{paths:?}: {error}"
        );
    }
    apply(&sink, batch("inv", [put("a", "x")])).await.unwrap();
    let error = apply(&sink, batch("inv", [put("a/b.yaml", "x")])).await.unwrap_err();
    assert_eq!(error.class.label(), "terminal", "{error}");
    // What goes in the same batch makes room.
    apply(&sink, batch("inv", [delete("a"), put("a/b.yaml", "x")])).await.unwrap();
    apply(&sink, batch("inv", [delete("a/b.yaml"), put("a", "y")])).await.unwrap();
    assert_eq!((bench.files(), bench.show("a").as_deref()), (vec!["a".to_owned()], Some("y")));
}
