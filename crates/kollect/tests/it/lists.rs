//! The operator's own kinds cannot be listed: it reports that, retries with pauses, and recovers by itself.

use crate::test_cluster::{SOON, TestCluster};
use anyhow::ensure;
use kollect_testkit::fault_proxy::{HttpAction, HttpProxy, HttpRule};
use kollect_testkit::operator::Operator;
use kollect_testkit::scene;
use kollect_testkit::servers::wait_for;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

const TEAM: &str = "team";
/// Lists are counted for so long.
const WINDOW: Duration = Duration::from_secs(10);
/// More lists of one kind than this in [`WINDOW`] are a loop.
const MOST: usize = 8;

/// The counter of one watch.
async fn failures(operator: &Operator, watch: &str) -> anyhow::Result<u64> {
    let series = format!(r#"kollect_watch_map_list_errors_total{{controller="KollectInventory",watch="{watch}"}} "#);
    let text = operator.metrics().await?;
    let value = text.lines().find_map(|line| line.strip_prefix(series.as_str()));
    Ok(value.and_then(|value| value.parse().ok()).unwrap_or(0))
}

#[tokio::test]
async fn failed_lists_of_the_operators_own_kinds_are_counted_and_repeated_with_pauses() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.grant_everywhere().await?;
    cluster.namespace_with("work", &["one"]).await?;
    cluster.pipeline(TEAM, &["work"]).await?;
    let proxy = HttpProxy::start(&cluster.api).await?;
    let sinks = proxy.add(HttpRule::new(["/kollectdatabasesinks?"], HttpAction::Answer(403)));
    let operator = cluster.spawn_through(&proxy)?;
    wait_for("failed lists of sinks are counted", SOON, async || Ok(failures(&operator, "sink").await? >= 2)).await?;
    ensure!(failures(&operator, "store").await? == 0, "only lists of sinks fail");

    proxy.forget_requests();
    // Not to wait for something, but to have a time in which to count.
    sleep_until(Instant::now() + WINDOW).await;
    let lists = proxy.count("list", "kollectdatabasesinks");
    ensure!((1..=MOST).contains(&lists), "{lists} lists in {WINDOW:?}");

    proxy.remove(sinks);
    cluster.rows_become(TEAM, "all", &["work/one"]).await?;

    // A watch that cannot be opened again is as bad: changes meanwhile are not seen.
    let (counted, path) = (failures(&operator, "sink").await?, "/kollecttargets?");
    proxy.forget_requests();
    let cut = proxy.add(HttpRule::new([path], HttpAction::Reset));
    wait_for("the watch is cut", SOON, async || Ok(proxy.count("watch", "kollecttargets") > 0)).await?;
    let refused = proxy.add(HttpRule::new([path, "watch=true"], HttpAction::Answer(500)));
    proxy.remove(cut);
    wait_for("refused watches of targets are counted", SOON, async || Ok(failures(&operator, "store").await? >= 2))
        .await?;
    ensure!(failures(&operator, "sink").await? == counted, "sinks are watched as before");
    cluster.apply([scene::target(TEAM, "more", "maps", &["work"])]).await?;
    proxy.remove(refused);
    cluster.shows("KollectTarget", TEAM, "more", &["Ready=True/Collecting", "!Degraded"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_leader_is_ready_only_when_the_first_lists_are_complete() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.grant_everywhere().await?;
    cluster.namespace_with("work", &["one"]).await?;
    cluster.pipeline(TEAM, &["work"]).await?;
    let proxy = HttpProxy::start(&cluster.api).await?;
    let stalled = proxy.add(HttpRule::new(["/configmaps?"], HttpAction::Stall));
    let mut operator = cluster.spawn_through(&proxy)?;
    wait_for("the operator asks for ConfigMaps", SOON, async || {
        Ok(proxy.requests().iter().any(|request| request.resource == "configmaps"))
    })
    .await?;
    let (ready, why) = operator.readiness().await?;
    ensure!(!ready && why.contains("listing what the targets collect"), "ready without a list: {why}");
    proxy.remove(stalled);
    operator.wait_ready(SOON).await?;
    cluster.rows_become(TEAM, "all", &["work/one"]).await
}

/// The keys of the outermost object of a line, as often as they are there.
struct Keys(Vec<String>);

impl<'de> serde::Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Keys;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[tokio::test]
async fn no_line_of_a_json_log_has_a_key_twice() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.namespace_with("work", &["one"]).await?;
    cluster.pipeline(TEAM, &["work"]).await?;
    let operator = cluster.operator_with(&["--zap-encoder=json"]).await?;
    // Without the right to list, and without its profile.
    cluster.shows("KollectTarget", TEAM, "maps", &["Degraded=True/Forbidden"]).await?;
    cluster.delete("KollectProfile", TEAM, "maps").await?;
    cluster.shows("KollectTarget", TEAM, "maps", &["Degraded=True/ProfileNotFound"]).await?;
    let logs = operator.logs();
    ensure!(logs.contains("object is not healthy"), "{logs}");
    for line in logs.lines() {
        let mut keys = serde_json::from_str::<Keys>(line)?.0;
        keys.sort();
        ensure!(keys.windows(2).all(|pair| pair[0] != pair[1]), "{line}");
    }
    Ok(())
}
