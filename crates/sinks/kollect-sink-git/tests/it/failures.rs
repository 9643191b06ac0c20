//! What each kind of failure is called, and that it stays with its cause.

use crate::bench::{Bench, REPO, Turn, apply, apply_all, basic, batch, held, put};
use kollect_export::{FileSink as _, Landed, WriteRight};
use kollect_sink_git::{GitConfig, GitSink};
use kollect_testkit::servers::GitHttpOptions;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_refuses_is_terminal_and_speaks_for_itself() {
    let bench = Bench::start().await;
    bench.repos().refuse_pushes(REPO, Some("only on Mondays")).unwrap();
    let sink = bench.sink();
    let error = apply(&sink, batch("inv", [put("a.yaml", "a")])).await.unwrap_err();
    assert_eq!((error.class.label(), error.landed), ("terminal", Landed::No));
    assert!(error.message.contains("git push rejected") && error.message.contains("only on Mondays"), "{error}");
    bench.repos().refuse_pushes(REPO, None).unwrap();
    apply(&sink, batch("inv", [put("a.yaml", "a")])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_inventory_does_not_hold_up_its_neighbours() {
    let bench = Bench::start().await;
    let hook = "while read old new ref; do git ls-tree -r --name-only $new | grep -q '^bad/' && { echo 'no bad files' >&2; exit 1; }; done; exit 0";
    bench.repos().set_pre_receive(REPO, Some(hook)).unwrap();
    let sink = bench.sink();
    let batches = ["good", "bad", "fine"].map(|name| batch(name, [put(&format!("{name}/a.yaml"), name)]));
    let outcomes = apply_all(&sink, batches.into()).await;
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    let error = outcomes[1].as_ref().unwrap_err();
    assert!(error.class.label() == "terminal" && error.message.contains("no bad files"), "{error}");
    assert_eq!(bench.files(), ["fine/a.yaml", "good/a.yaml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_terminal_and_never_shown() {
    let options = GitHttpOptions { credentials: Some(("bot".into(), "right".into())), ..GitHttpOptions::default() };
    let bench = Bench::with(options).await;
    let good = GitSink::new(GitConfig { auth: basic("right"), ..bench.config() }).unwrap();
    apply(&good, batch("inv", [put("a.yaml", "a")])).await.unwrap();
    let bad = GitSink::new(GitConfig { auth: basic("hunter2"), ..bench.config() }).unwrap();
    let errors = [
        apply(&bad, batch("inv", [put("a.yaml", "b")])).await.unwrap_err(),
        held(&bad, "inv").await.unwrap_err(),
        bad.probe(&CancellationToken::new()).await.unwrap_err(),
        apply(&bench.sink(), batch("inv", [put("a.yaml", "b")])).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.class.label(), error.landed), ("terminal", Landed::No), "{error}");
        assert!(error.message.starts_with("git auth failed") && !error.message.contains("hunter2"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_or_a_repository_that_is_missing_is_worth_another_attempt() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    apply(&sink, batch("inv", [put("a.yaml", "a")])).await.unwrap();
    std::fs::rename(bench.repos().path(REPO), bench.repos().path("gone.git")).unwrap();
    let error = apply(&sink, batch("inv", [put("a.yaml", "b")])).await.unwrap_err();
    assert_eq!((error.class.label(), error.landed), ("transient", Landed::No), "{error}");
    assert!(error.message.starts_with("git push") && error.message.contains("404"), "{error}");
    std::fs::rename(bench.repos().path("gone.git"), bench.repos().path(REPO)).unwrap();

    let config = bench.config();
    drop(bench);
    let sink = GitSink::new(config).unwrap();
    let error = sink.probe(&CancellationToken::new()).await.unwrap_err();
    assert!(error.class.label() == "transient" && error.message.starts_with("git transport"), "{error}");
}

struct NotLeader;
impl WriteRight for NotLeader {
    fn may_write(&self) -> bool {
        false
    }
    fn fence(&self) -> u64 {
        0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_lost_the_lease_does_not_push() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    let turn = Turn { right: Box::new(NotLeader), ..Turn::new("inv") };
    let error = sink.apply(vec![(turn.cycle(), batch("inv", [put("a.yaml", "a")]))]).await.pop().unwrap().unwrap_err();
    assert_eq!((error.stage, error.landed), ("lease", Landed::No), "{error}");
    assert!(bench.repos().git(REPO, ["rev-parse", "main"]).is_err());
    apply(&sink, batch("inv", [put("a.yaml", "a")])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_given_up_and_the_branch_is_free_again() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bench = Bench::start().await;
    let url = format!("http://localhost:{}/r.git", silent.local_addr().unwrap().port());
    let sink = GitSink::new(GitConfig { url, stall: Duration::from_millis(400), ..bench.config() }).unwrap();
    let error = held(&sink, "inv").await.unwrap_err();
    assert!(error.class.label() == "transient" && error.message.contains("no progress"), "{error}");
    // The connection of the first attempt waits in the queue.
    drop(silent.accept().await.unwrap());

    // Cancelled instead: the call returns long before the deadline.
    let url = format!("http://localhost:{}/r.git", silent.local_addr().unwrap().port());
    let sink = GitSink::new(GitConfig { url, stall: Duration::from_mins(10), ..bench.config() }).unwrap();
    let turn = Turn::new("inv");
    let stop_once_connected = async {
        let connection = silent.accept().await.unwrap();
        turn.cancel.cancel();
        connection
    };
    let lane = vec![(turn.cycle(), batch("inv", [put("a", "a")]))];
    let (mut outcomes, _connection) = tokio::join!(sink.apply(lane), stop_once_connected);
    let error = outcomes.pop().unwrap().unwrap_err();
    assert_eq!((error.class.label(), error.landed), ("transient", Landed::No), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_whose_answer_is_lost_may_have_landed() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    apply(&sink, batch("inv", [put("a.yaml", "a")])).await.unwrap();
    // The hook runs longer than the time limit, then accepts the push.
    bench.repos().set_pre_receive(REPO, Some("sleep 3; exit 0")).unwrap();
    let impatient = GitSink::new(GitConfig { stall: Duration::from_secs(1), ..bench.config() }).unwrap();
    let error = apply(&impatient, batch("inv", [put("a.yaml", "b")])).await.unwrap_err();
    assert_eq!((error.class.label(), error.landed), ("transient", Landed::Unknown), "{error}");
    assert!(error.message.starts_with("git push"), "{error}");
    bench.repos().set_pre_receive(REPO, None).unwrap();
    held(&sink, "inv").await.unwrap();
    apply(&sink, batch("inv", [put("a.yaml", "b")])).await.unwrap();
    assert_eq!(bench.show("a.yaml").as_deref(), Some("b"));
}
