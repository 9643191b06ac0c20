//! What a push does when nothing is in the way.

use crate::bench::{Bench, Turn, apply, apply_all, basic, batch, delete, held, put, record};
use kollect_export::{FileSink as _, Landed};
use kollect_model::Digest;
use kollect_net::Insecure;
use kollect_sink_git::{GitConfig, GitCredentials, GitSink};
use kollect_testkit::servers::{Certs, GitHttpOptions};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_remote_gets_its_branch_and_later_pushes_carry_only_the_difference() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    assert!(held(&sink, "inv").await.unwrap().is_empty());
    let receipt = apply(&sink, batch("inv", [put("inv/a.yaml", "a"), put("inv/b/c.yaml", "c")])).await.unwrap();
    assert_eq!((receipt.rows, receipt.bytes), (2, 2));
    assert_eq!(receipt.revision.as_deref(), Some(bench.git(["rev-parse", "main"]).trim()));
    assert_eq!(bench.files(), ["inv/a.yaml", "inv/b/c.yaml"]);
    assert_eq!(
        bench.git(["log", "-1", "--format=%an <%ae> %cn %B", "main"]).trim(),
        "kollect <kollect@kollect.dev> kollect export inv\n\nKollect-Inventory: inv"
    );

    apply(&sink, batch("inv", [put("inv/a.yaml", "a2"), delete("inv/b/c.yaml")])).await.unwrap();
    assert_eq!(bench.files(), ["inv/a.yaml"]);
    assert_eq!(bench.show("inv/a.yaml").as_deref(), Some("a2"));
    let changed = bench.git(["diff-tree", "-r", "--name-status", "--no-commit-id", "main"]);
    assert_eq!(
        changed.lines().collect::<Vec<_>>(),
        [&format!("M\t{}", record("inv")), "M\tinv/a.yaml", "D\tinv/b/c.yaml"]
    );
    assert_eq!(bench.git(["ls-tree", "main", "inv/a.yaml"]).split(' ').next(), Some("100644"));
    assert_eq!(bench.commits(), 2);
    assert_eq!(held(&sink, "inv").await.unwrap(), [("inv/a.yaml".to_owned(), Some(Digest::of(b"a2")))].into());
    bench.git(["fsck", "--strict"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_makes_no_commit_and_no_push() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    let first = apply(&sink, batch("inv", [put("a.yaml", "a")])).await.unwrap();
    let requests = bench.server.requests();
    let second = apply(&sink, batch("inv", [put("a.yaml", "a"), delete("never-there.yaml")])).await.unwrap();
    assert_eq!(second.revision, first.revision);
    assert_eq!((bench.commits(), bench.server.requests()), (1, requests));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_is_one_push_with_one_commit_per_inventory() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    apply(&sink, batch("x", [put("x/0.yaml", "0")])).await.unwrap();
    let requests = bench.server.requests();
    let outcomes =
        apply_all(&sink, vec![batch("a", [put("a/1.yaml", "1")]), batch("b", [put("b/1.yaml", "1")]), batch("c", [])])
            .await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(bench.server.requests() - requests, 2, "one advertisement and one pack");
    assert_eq!(
        bench.git(["log", "--format=%s", "main"]).lines().collect::<Vec<_>>(),
        ["export b", "export a", "export x"]
    );
    let tips: Vec<_> = outcomes.into_iter().map(|outcome| outcome.unwrap().revision.unwrap()).collect();
    assert_ne!(tips[0], tips[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_removes_the_files_and_the_record_and_leaves_the_neighbours() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    apply_all(
        &sink,
        vec![batch("a", [put("a/1.yaml", "1"), put("a/b/2.yaml", "2")]), batch("b", [put("b/1.yaml", "1")])],
    )
    .await;
    bench.repos().commit_behind(crate::bench::REPO, "main", &[("a/b/mine.txt", "mine")]).unwrap();
    let turn = Turn::new("a");
    let receipt = sink.forget(&turn.cycle(), batch("a", [])).await.unwrap();
    assert_eq!(receipt.rows, 2);
    assert_eq!(bench.files(), ["a/b/mine.txt", "b/1.yaml"]);
    assert!(bench.show(&record("a")).is_none() && bench.show(&record("b")).is_some());
    let commits = bench.commits();
    assert_eq!(sink.forget(&turn.cycle(), batch("a", [])).await.unwrap().rows, 0);
    assert_eq!(bench.commits(), commits);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_mirror_costs_a_fetch_and_nothing_else() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    apply(&sink, batch("inv", [put("a.yaml", "a"), put("b.yaml", "b")])).await.unwrap();
    bench.lose_mirrors();
    apply(&sink, batch("inv", [put("a.yaml", "a2")])).await.unwrap();
    bench.lose_mirrors();
    assert_eq!(held(&sink, "inv").await.unwrap().len(), 2);
    // A damaged one, found by a new process.
    drop(sink);
    let mirror = std::fs::read_dir(bench.mirrors.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir())
        .unwrap();
    std::fs::remove_dir_all(mirror.join("objects")).unwrap();
    std::fs::create_dir(mirror.join("objects")).unwrap();
    let sink = bench.sink();
    apply(&sink, batch("inv", [put("a.yaml", "a3")])).await.unwrap();
    assert_eq!((bench.commits(), bench.show("a.yaml").as_deref()), (3, Some("a3")));
    bench.git(["fsck", "--strict"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn https_with_a_private_ca_and_a_token_works_and_other_trust_does_not() {
    let certs = Some(Arc::new(Certs::new().unwrap()));
    let credentials = Some(("bot".into(), "t0ken".into()));
    let options = GitHttpOptions { certs, credentials, ..GitHttpOptions::default() };
    let bench = Bench::with(options).await;
    let good = GitConfig { auth: basic("t0ken"), ..bench.config() };
    let sink = GitSink::new(good.clone()).unwrap();
    let probe = sink.probe(&tokio_util::sync::CancellationToken::new()).await.unwrap();
    assert_eq!(probe.message, "TLS and git remote reachability verified");
    apply(&sink, batch("inv", [put("a.yaml", "a")])).await.unwrap();
    assert_eq!(bench.commits(), 1);

    let wrong_ca = GitConfig { tls: kollect_net::TlsSpec::default(), ..good.clone() };
    let error = apply(&GitSink::new(wrong_ca).unwrap(), batch("inv", [put("a.yaml", "b")])).await.unwrap_err();
    assert_eq!((error.class.label(), error.landed), ("terminal", Landed::No));
    assert!(error.message.starts_with("git transport") && error.message.contains("certificate"), "{error}");

    let unverified = kollect_net::TlsSpec { insecure_skip_verify: true, ..kollect_net::TlsSpec::default() };
    let sink = GitSink::new(GitConfig { tls: unverified, ..good }).unwrap();
    apply(&sink, batch("inv", [put("a.yaml", "b")])).await.unwrap();
    assert_eq!(bench.show("a.yaml").as_deref(), Some("b"));
}

#[test]
fn credentials_over_http_and_a_server_that_is_not_verified_are_reported() {
    let mirrors = tempfile::tempdir().unwrap();
    let insecure = |url: &str, auth: GitCredentials, skip: bool| {
        let mut config = GitConfig { auth, ..GitConfig::new(url, mirrors.path()) };
        config.tls.insecure_skip_verify = skip;
        GitSink::new(config).unwrap().insecure()
    };
    assert_eq!(insecure("http://git.example/r", basic("t"), false), Some(Insecure::Plaintext));
    assert_eq!(insecure("http://git.example/r", GitCredentials::None, false), None);
    assert_eq!(insecure("https://git.example/r", basic("t"), false), None);
    assert_eq!(insecure("https://git.example/r", basic("t"), true), Some(Insecure::SkipVerify));
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_differ_by_branch_and_credential_and_show_no_secret() {
    let bench = Bench::start().await;
    let lane = |config: GitConfig| GitSink::new(config).unwrap().lane();
    let base = lane(bench.config());
    assert_eq!(base, lane(bench.config()));
    let other = [
        GitConfig { branch: Some("dev".into()), ..bench.config() },
        GitConfig { auth: basic("hunter2"), ..bench.config() },
        GitConfig { auth: basic("hunter3"), ..bench.config() },
    ];
    let lanes: std::collections::BTreeSet<_> = other.into_iter().map(lane).chain([base]).collect();
    assert_eq!(lanes.len(), 4);
    assert!(lanes.iter().all(|lane| !lane.contains("hunter")));
}
