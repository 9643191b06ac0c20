//! Callers that mean harm or come in crowds.

use super::caller::{Caller, path, question};
use super::webhook_cluster::{WebhookCluster, broken_profile, good_profile};
use anyhow::ensure;
use kollect_testkit::operator::usage;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const QUICK: Duration = Duration::from_secs(2);
const AT_ONCE: usize = 64;
const REVIEWS: usize = 20_000;

#[tokio::test]
async fn hostile_bodies_are_refused_quickly_and_the_operator_goes_on() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let (mut operator, port) = cluster.with_webhook(&[]).await?;
    let ca = cluster.kept_bundle().await?;
    let profile = good_profile("x");
    let nested = format!(r#"{{"request":{{"object":{}"#, "[".repeat(10_000));
    let big = vec![b' '; 10 << 20];
    let bodies: [(&str, Vec<u8>); 4] =
        [("10 MiB", big), ("not UTF-8", vec![0xff; 4096]), ("nested", nested.into_bytes()), ("empty", Vec::new())];
    for (what, body) in bodies {
        let begun = Instant::now();
        // The server may close before it has read all; what matters is that it is quick and lives on.
        let answer = Caller::connect(port, &ca).await?.post(&path(&profile), body).await;
        if let Ok((status, _)) = answer {
            ensure!(status == 400 || status == 413, "{what}: {status}");
        }
        ensure!(begun.elapsed() < QUICK, "{what} took {:?}", begun.elapsed());
    }
    for text in [
        format!("$.{}", "a.".repeat(2048)),
        format!("cel:{}", "a.".repeat(2048)),
        "cel:".to_owned() + &"1+".repeat(2000),
    ] {
        let mut chain = profile.clone();
        chain["spec"]["attributes"][0]["path"] = Value::String(text);
        let begun = Instant::now();
        let answer = Caller::connect(port, &ca).await?.review(&chain).await?;
        ensure!(answer["allowed"] == false, "{answer}");
        ensure!(begun.elapsed() < QUICK, "a long chain took {:?}", begun.elapsed());
    }
    ensure!(operator.exited()?.is_none(), "the operator is gone");
    let answer = Caller::connect(port, &ca).await?.review(&profile).await?;
    ensure!(answer["allowed"] == true, "{answer}");
    Ok(())
}

#[tokio::test]
async fn only_reviews_of_the_right_kind_over_tls_13_are_answered() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let (_operator, port) = cluster.with_webhook(&[]).await?;
    let ca = cluster.kept_bundle().await?;
    let mut caller = Caller::connect(port, &ca).await?;
    let target = json!({"kind": "KollectTarget"});
    let (_, body) = caller.post(&path(&target), question(&good_profile("x"))).await?;
    let answer: Value = serde_json::from_slice(&body)?;
    ensure!(answer["response"]["allowed"] == false, "{answer}");
    ensure!(caller.post("/metrics", "").await?.0 == 404, "something else is served");
    ensure!(Caller::connect_with(port, &ca, &[&rustls::version::TLS12]).await.is_err(), "TLS 1.2 is spoken");
    Ok(())
}

#[tokio::test]
async fn twenty_thousand_reviews_in_a_crowd_leave_no_memory_behind() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let (operator, port) = cluster.with_webhook(&[]).await?;
    let ca = cluster.kept_bundle().await?;
    crowd(port, &ca, REVIEWS / 4).await?;
    let before = usage(operator.pid())?.rss_kb;
    let mut times = crowd(port, &ca, REVIEWS).await?;
    let after = usage(operator.pid())?.rss_kb;
    times.sort();
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    eprintln!("{} reviews, {AT_ONCE} at once: p50 {p50:?}, p99 {p99:?}; RSS {before} then {after} KiB", times.len());
    let mut alone = Vec::new();
    let mut caller = Caller::connect(port, &ca).await?;
    for _ in 0..500 {
        let begun = Instant::now();
        caller.review(&good_profile("x")).await?;
        alone.push(begun.elapsed());
    }
    alone.sort();
    eprintln!("one at a time: p50 {:?}, p99 {:?}", alone[250], alone[495]);
    ensure!(after < before + 8 * 1024, "RSS grew from {before} to {after} KiB");
    Ok(())
}

/// Reviews over kept-alive connections, half of them refused.
async fn crowd(port: u16, ca: &str, reviews: usize) -> anyhow::Result<Vec<Duration>> {
    let mut callers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let mut caller = Caller::connect(port, ca).await?;
        callers.spawn(async move {
            let mut times = Vec::new();
            for i in 0..reviews / AT_ONCE {
                let good = i % 2 == 0;
                let object = if good { good_profile("x") } else { broken_profile("x") };
                let begun = Instant::now();
                let answer = caller.review(&object).await?;
                times.push(begun.elapsed());
                ensure!(answer["allowed"] == good, "{answer}");
            }
            Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = callers.join_next().await {
        all.extend(done??);
    }
    Ok(all)
}
