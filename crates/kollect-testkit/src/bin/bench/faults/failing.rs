//! A missing kind, an unreachable sink and a sink that refuses its credentials.

use crate::bench_cluster::{BenchCluster, CLUSTER, INVENTORY};
use anyhow::Context as _;
use kollect_testkit::operator;
use kollect_testkit::scene;
use kollect_testkit::servers::{Postgres, free_port};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

/// Parts that fail, in one namespace with a healthy pipeline and, for the sinks, in its own inventory.
pub(super) struct Failing<'a> {
    cluster: &'a BenchCluster,
    client: &'a kube::Client,
    namespace: &'a str,
    objects: Vec<Value>,
}

impl<'a> Failing<'a> {
    pub(super) fn new(cluster: &'a BenchCluster) -> anyhow::Result<Self> {
        let namespace = cluster.loaded.namespaces.first().context("a namespace")?.as_str();
        let (server, database) = (&cluster.postgres, Postgres::DATABASE);
        let mut objects =
            scene::postgres_sink_at(server, "localhost", free_port()?, namespace, "dead", database, CLUSTER);
        let mut broken = scene::postgres_sink(server, namespace, "broken", database, CLUSTER);
        let wrong = server.url(database).replace(Postgres::PASSWORD, "wrong");
        let credentials = broken.first_mut().and_then(|secret| secret.pointer_mut("/stringData/dsn"));
        *credentials.context("a Secret with a DSN")? = json!(wrong);
        objects.extend(broken);
        objects.push(scene::profile(namespace, "gadgets", "example.org/v1", "Gadget", &[("size", "$.spec.size")]));
        objects.push(scene::target(namespace, "gadgets", "gadgets", &[namespace]));
        Ok(Self { cluster, client: &cluster.client, namespace, objects })
    }

    pub(super) async fn begin(&self) -> anyhow::Result<()> {
        for object in &self.objects {
            operator::apply(self.client, object.clone()).await?;
        }
        self.refer(&["postgres", "dead", "broken"]).await?;
        self.cluster.inventory_becomes("PartiallySynced").await
    }

    pub(super) async fn end(&self) -> anyhow::Result<()> {
        self.refer(&["postgres"]).await?;
        for object in self.objects.iter().filter(|object| object["kind"] != "Secret") {
            let name = object["metadata"]["name"].as_str().context("an object without a name")?;
            operator::api_of(self.client, object).delete(name, &DeleteParams::default()).await?;
        }
        self.cluster.inventory_becomes("Exported").await
    }

    async fn refer(&self, sinks: &[&str]) -> anyhow::Result<()> {
        let refs: Vec<Value> = sinks.iter().map(|name| json!({"name": name})).collect();
        let patch = Patch::Merge(json!({"spec": {"databaseSinkRefs": refs}}));
        let inventories = operator::api_of(self.client, &scene::inventory(self.namespace, INVENTORY, None, None, "0s"));
        inventories.patch(INVENTORY, &PatchParams::default(), &patch).await?;
        Ok(())
    }
}
