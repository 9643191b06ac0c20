//! The process is killed at each step that matters; the next process recovers.

use crate::bench::{Bench, apply, batch, held, put};
use kollect_net::Guard;
use kollect_sink_git::{GitConfig, GitSink};
use std::process::Command;

const URL: &str = "KOLLECT_TEST_GIT_URL";
const MIRRORS: &str = "KOLLECT_TEST_GIT_MIRRORS";

/// Not a test of its own: the process that is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test below, in a process of its own"]
async fn a_process_that_is_killed() {
    // Without the variable, as when all ignored tests are run, there is nothing to do.
    let (Ok(url), Ok(mirrors)) = (std::env::var(URL), std::env::var(MIRRORS)) else { return };
    let sink = GitSink::new(GitConfig { guard: Guard::open(), ..GitConfig::new(url, mirrors) }).unwrap();
    held(&sink, "inv").await.unwrap();
    apply(&sink, batch("inv", [put("a.yaml", "new"), put("c.yaml", "new")])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_at_any_point_the_branch_has_the_old_state_or_the_new_one() {
    for (point, landed) in [("record_written", false), ("sent", false), ("acked", true)] {
        let bench = Bench::start().await;
        let sink = bench.sink();
        apply(&sink, batch("inv", [put("a.yaml", "old"), put("b.yaml", "old")])).await.unwrap();
        drop(sink);
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "kills::a_process_that_is_killed", "--ignored"])
            .env(URL, bench.config().url)
            .env(MIRRORS, bench.mirrors.path())
            .env("KOLLECT_KILL_AT", point);
        let ended = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
        assert!(!ended.status.success(), "{point} was not reached");
        assert_eq!(bench.commits(), 1 + usize::from(landed), "{point}");

        let sink = bench.sink();
        let now = held(&sink, "inv").await.unwrap();
        assert!(now.values().all(Option::is_some), "{point}: {now:?}");
        assert_eq!(now.len(), if landed { 3 } else { 2 }, "{point}");
        apply(&sink, batch("inv", [put("a.yaml", "new"), put("c.yaml", "new")])).await.unwrap();
        assert_eq!((bench.commits(), bench.show("c.yaml").as_deref()), (2, Some("new")), "{point}");
        bench.git(["fsck", "--strict"]);
    }
}
