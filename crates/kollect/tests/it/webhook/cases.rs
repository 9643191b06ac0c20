//! Every admission case, judged by an API server that asks the webhook, and by the webhook alone.

use super::caller::Caller;
use super::webhook_cluster::WebhookCluster;
use crate::admission::cases::{self, Case};
use crate::admission::namespaces_of;
use anyhow::{Context as _, ensure};
use kollect_testkit::operator::api_of;
use kube::api::DeleteParams;
use serde_json::Value;
use std::collections::BTreeMap;

/// The flags that make an operator go by the settings of a case.
fn flags(case: &Case) -> anyhow::Result<Vec<String>> {
    let mut flags = Vec::new();
    for (setting, value) in &case.settings {
        flags.push(match (setting.as_str(), value) {
            (_, Value::Bool(false)) => continue,
            ("tenantMode", _) => "--tenant-mode".to_owned(),
            ("allowPrivateSinks", _) => "--allow-private-sinks".to_owned(),
            ("secretExtraction", Value::String(policy)) => format!("--secret-extraction={policy}"),
            ("maxExportBytes", bytes) => format!("--max-export-bytes={bytes}"),
            _ => anyhow::bail!("{}: setting {setting}", case.file),
        });
    }
    Ok(flags)
}

#[tokio::test]
async fn with_the_webhook_every_case_is_decided_as_expected_and_by_the_webhook_alone_too() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let all = cases::all()?;
    namespaces_of(&cluster.client, &all).await?;
    let mut groups: BTreeMap<Vec<String>, Vec<&Case>> = BTreeMap::new();
    for case in &all {
        groups.entry(flags(case)?).or_default().push(case);
    }
    let mut failures = Vec::new();
    for (flags, cases) in groups {
        let own = ["--allow-loopback-sinks=false", "--validating-webhooks-enabled=true"].map(str::to_owned);
        let args: Vec<String> = own.into_iter().chain(flags).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (_operator, port) = cluster.with_webhook(&args).await?;
        let mut caller = Caller::connect(port, &cluster.kept_bundle().await?).await?;
        for case in cases {
            let complaints = judge(&cluster, &mut caller, case).await.with_context(|| case.file.clone())?;
            failures.extend(complaints.into_iter().map(|why| format!("{} {args:?}\n    {why}", case.file)));
        }
    }
    let (failed, of) = (failures.len(), all.len());
    ensure!(failures.is_empty(), "{failed} complaints about {of} cases:\n{}", failures.join("\n"));
    Ok(())
}

async fn judge(cluster: &WebhookCluster, caller: &mut Caller, case: &Case) -> anyhow::Result<Vec<String>> {
    for object in &case.given {
        if let Err(error) = cluster.apply(object.clone()).await {
            return Ok(vec![format!("what is given: {error:#}")]);
        }
    }
    let asked = case.send(&cluster.client).await?;
    let alone = caller.review(&case.object).await?;
    for object in &case.given {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        api_of(&cluster.client, object).delete(name, &DeleteParams::default()).await?;
    }
    Ok(case.judge(&asked, true).into_iter().chain(case.judge_review(&alone)).collect())
}
