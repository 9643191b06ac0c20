//! The same over a real sshd.

use crate::bench::{Bench, REPO, Turn, apply, batch, held, put};
use crate::members::asked_late;
use kollect_export::{FileSink as _, Landed};
use kollect_sink_git::{GitConfig, GitCredentials, GitSink};
use kollect_testkit::servers::SshGit;
use tokio_util::sync::CancellationToken;

fn config(bench: &Bench, ssh: &SshGit, key: String, known_hosts: Option<String>) -> GitConfig {
    let auth = GitCredentials::Ssh { user: None, private_key: key.into(), known_hosts };
    GitConfig { url: ssh.url(REPO), auth, ..bench.config() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_from_memory_pushes_and_reads_back() {
    let bench = Bench::start().await;
    let ssh = SshGit::start(bench.repos().clone()).await.unwrap();
    let sink = GitSink::new(config(&bench, &ssh, ssh.user_key().unwrap(), Some(ssh.known_hosts().unwrap()))).unwrap();
    assert_eq!(sink.probe(&CancellationToken::new()).await.unwrap().message, "git remote reachability verified");
    assert!(held(&sink, "inv").await.unwrap().is_empty());
    apply(&sink, batch("inv", [put("a.yaml", "a"), put("b.yaml", &"long ".repeat(300_000))])).await.unwrap();
    bench.repos().commit_behind(REPO, "main", &[("README.md", "x")]).unwrap();
    apply(&sink, batch("inv", [put("a.yaml", "a2")])).await.unwrap();
    assert_eq!(bench.files(), ["README.md", "a.yaml", "b.yaml"]);
    bench.lose_mirrors();
    assert_eq!(held(&sink, "inv").await.unwrap().len(), 2);

    bench.repos().refuse_pushes(REPO, Some("frozen")).unwrap();
    let error = apply(&sink, batch("inv", [put("a.yaml", "a3")])).await.unwrap_err();
    assert!(error.message.contains("git push rejected") && error.message.contains("frozen"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_to_write_is_asked_before_the_end_of_a_long_push_over_ssh_and_over_http() {
    let bench = Bench::start().await;
    let ssh = SshGit::start(bench.repos().clone()).await.unwrap();
    let over_ssh = config(&bench, &ssh, ssh.user_key().unwrap(), Some(ssh.known_hosts().unwrap()));
    // Does not compress.
    let noise = (0..400_000_u64).map(|n| kollect_model::Digest::of(&n.to_be_bytes()).to_string()).collect::<String>();
    for config in [over_ssh, bench.config()] {
        let (right, asked) = asked_late(&bench, 2 << 20);
        let turn = Turn { right, ..Turn::new("inv") };
        let sink = GitSink::new(config).unwrap();
        let lane = vec![(turn.cycle(), batch("inv", [put("big.txt", &noise)]))];
        let error = sink.apply(lane).await.pop().unwrap().unwrap_err();
        assert_eq!((error.stage, error.landed), ("lease", Landed::No), "{error}");
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
        assert!(bench.repos().git(REPO, ["rev-parse", "main"]).is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_host_key_is_not_talked_to() {
    let bench = Bench::start().await;
    let ssh = SshGit::start(bench.repos().clone()).await.unwrap();
    let key = ssh.user_key().unwrap();
    for (known_hosts, word) in [
        (ssh.wrong_known_hosts().unwrap(), "not the one in known_hosts"),
        ("github.com ssh-ed25519 AAAA".into(), "not in known_hosts"),
    ] {
        let sink = GitSink::new(config(&bench, &ssh, key.clone(), Some(known_hosts))).unwrap();
        let error = apply(&sink, batch("inv", [put("a.yaml", "a")])).await.unwrap_err();
        assert_eq!((error.class.label(), error.landed), ("terminal", Landed::No));
        assert!(error.message.contains(word), "{error}");
    }
    let mut unchecked = config(&bench, &ssh, key, None);
    unchecked.tls.insecure_skip_verify = true;
    apply(&GitSink::new(unchecked).unwrap(), batch("inv", [put("a.yaml", "a")])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_let_in_is_an_auth_failure_and_a_missing_repository_is_not() {
    let bench = Bench::start().await;
    let ssh = SshGit::start(bench.repos().clone()).await.unwrap();
    let known = Some(ssh.known_hosts().unwrap());
    let sink = GitSink::new(config(&bench, &ssh, ssh.unknown_user_key().unwrap(), known.clone())).unwrap();
    let error = held(&sink, "inv").await.unwrap_err();
    assert!(error.class.label() == "terminal" && error.message.starts_with("git auth failed"), "{error}");
    let missing = GitConfig { url: ssh.url("none.git"), ..config(&bench, &ssh, ssh.user_key().unwrap(), known) };
    let error = held(&GitSink::new(missing).unwrap(), "inv").await.unwrap_err();
    assert!(error.class.label() == "transient" && error.message.contains("none.git"), "{error}");
    let garbage = config(&bench, &ssh, "not a key".into(), Some(ssh.known_hosts().unwrap()));
    let error = held(&GitSink::new(garbage).unwrap(), "inv").await.unwrap_err();
    assert!(error.class.label() == "terminal" && !error.message.contains("not a key"), "{error}");
}
