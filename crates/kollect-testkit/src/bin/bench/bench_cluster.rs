//! The servers that a bench measures the operator with, and what is loaded into them.

use super::load::{self, Loaded};
use anyhow::Context as _;
use k8s_openapi::api::coordination::v1::Lease;
use kollect_testkit::operator::{self, Operator, OperatorOptions};
use kollect_testkit::scene;
use kollect_testkit::servers::{ApiServer, ApiServerOptions, Postgres, PostgresOptions, wait_for};
use kollect_testkit::truth::{
    Difference, Expectation, ExpectedAttribute, ExpectedTarget, compare, expected_rows, path, postgres_rows,
};
use kube::api::{Api, DeleteParams, ListParams};
use std::time::Duration;

pub(crate) const CLUSTER: &str = "bench";
pub(crate) const INVENTORY: &str = "inventory";
pub(crate) const TARGET: &str = "target";
const BASE_AFTER: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_mins(1);

/// The servers, with everything loaded but the pipelines.
pub(crate) struct BenchCluster {
    pub(crate) api: ApiServer,
    pub(crate) postgres: Postgres,
    pub(crate) client: kube::Client,
    pub(crate) kubeconfig: String,
    pub(crate) loaded: Loaded,
}

impl BenchCluster {
    pub(crate) async fn prepare(objects: u32, namespaces: u32) -> anyhow::Result<Self> {
        anyhow::ensure!(namespaces > 0 && objects >= namespaces, "at least one object per namespace");
        progress("starting servers");
        let options = ApiServerOptions { audit_users: vec![operator::USER.to_owned()], ..ApiServerOptions::default() };
        // Vacuuming would count as work of the operator.
        let settings = vec!["autovacuum = off".to_owned()];
        let (api, postgres) =
            tokio::try_join!(ApiServer::start(options), Postgres::start(PostgresOptions { settings }))?;
        let token = operator::install(&api).await?;
        let client = api.admin().await?;
        operator::grant_read(&client, &[("", "configmaps")]).await?;
        progress(&format!("creating {objects} ConfigMaps in {namespaces} namespaces"));
        let loaded = load::create(&client, objects, namespaces).await?;
        let kubeconfig = api.kubeconfig_for_token(&token);
        Ok(Self { api, postgres, client, kubeconfig, loaded })
    }

    /// Resident memory, in KiB, of an operator that has nothing to do, and the length of the audit log after it.
    pub(crate) async fn base(&self, options: &OperatorOptions) -> anyhow::Result<(u64, u64)> {
        progress("measuring the operator without pipelines");
        let mut operator = Operator::start(&self.kubeconfig, options)?;
        operator.wait_ready(Duration::from_secs(30)).await?;
        tokio::time::sleep(BASE_AFTER).await;
        let rss = operator.usage()?.rss_kb;
        operator.terminate(Duration::from_secs(15)).await?;
        // The measured run starts like the first one ever: without a Lease.
        let leases = Api::<Lease>::namespaced(self.client.clone(), operator::SERVICE_ACCOUNT.0);
        leases.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        Ok((rss, std::fs::metadata(self.api.audit_log())?.len()))
    }

    pub(crate) async fn apply_pipelines(&self) -> anyhow::Result<()> {
        let attributes =
            [("value", "$.data.value"), ("app", "$.metadata.labels.app"), ("tier", "cel:object.metadata.labels.tier")];
        for namespace in &self.loaded.namespaces {
            let mut objects = scene::postgres_sink(&self.postgres, namespace, "postgres", Postgres::DATABASE, CLUSTER);
            objects.push(scene::profile(namespace, "config-maps", "v1", "ConfigMap", &attributes));
            objects.push(scene::target(namespace, TARGET, "config-maps", &[namespace]));
            objects.push(scene::inventory(namespace, INVENTORY, None, Some("postgres"), "0s"));
            for object in objects {
                operator::apply(&self.client, object).await?;
            }
        }
        Ok(())
    }

    /// Compares every row with the API server.
    pub(crate) async fn truth(&self) -> anyhow::Result<Difference> {
        let mut expected = std::collections::BTreeMap::new();
        for namespace in &self.loaded.namespaces {
            expected.extend(expected_rows(&self.client, &expectation(namespace)).await?);
        }
        let database = self.postgres.admin(Postgres::DATABASE).await?;
        let difference = compare(&expected, postgres_rows(&database, scene::TABLE, CLUSTER).await?);
        progress(&difference.check().map_or_else(|error| format!("oracle: {error}"), |()| "oracle: equal".to_owned()));
        Ok(difference)
    }

    /// Waits for a reason of the inventory in the first namespace.
    pub(crate) async fn inventory_becomes(&self, reason: &str) -> anyhow::Result<()> {
        let namespace = self.loaded.namespaces.first().context("a namespace")?;
        let inventories = operator::api_of(&self.client, &scene::inventory(namespace, INVENTORY, None, None, "0s"));
        wait_for(&format!("the inventory is {reason}"), SOON, async || {
            let object = inventories.get(INVENTORY).await?;
            let conditions = object.data.pointer("/status/conditions").and_then(serde_json::Value::as_array);
            Ok(conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["reason"] == reason)))
        })
        .await
    }
}

fn expectation(namespace: &str) -> Expectation {
    let attributes = vec![
        ExpectedAttribute::new("value", path("data.value")),
        ExpectedAttribute::new("app", path("metadata.labels.app")),
        ExpectedAttribute::new("tier", path("metadata.labels.tier")),
    ];
    let target = ExpectedTarget {
        namespace: namespace.to_owned(),
        name: TARGET.to_owned(),
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        plural: "configmaps".to_owned(),
        object_namespaces: Some(vec![namespace.to_owned()]),
        filter: None,
        attributes,
    };
    Expectation { namespace: namespace.to_owned(), name: INVENTORY.to_owned(), targets: vec![target] }
}

pub(crate) fn progress(text: &str) {
    eprintln!("bench: {text}");
}
