//! A cluster, a store and a collector, and the few things that the tests do with them.

use kollect_collect::{
    CollectErrorClass, CollectObserver, CollectSettings, Collector, Gvr, Matching, NamespaceFacts, NamespaceMeta,
    TargetSpec, WantedNamespaces,
};
use kollect_extract::{AttributeSource, Extractor, ProfileSource};
use kollect_model::{Gvk, TargetKey};
use kollect_store::{PartState, Store, View};
use kollect_testkit::servers::{ApiServer, client_from_kubeconfig, wait_for};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Long enough for a busy machine; every wait ends as soon as it can.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Counts complete lists.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    lists: AtomicU64,
    errors: AtomicU64,
}

impl CollectObserver for Counting {
    fn listed(&self, _: &Gvr) {
        self.lists.fetch_add(1, Ordering::SeqCst);
    }

    fn error(&self, _: &TargetKey, _: CollectErrorClass) {
        self.errors.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) struct TestCluster {
    pub(crate) admin: Client,
    pub(crate) store: Arc<Store>,
    pub(crate) collector: Arc<Collector>,
    counting: Arc<Counting>,
}

impl TestCluster {
    /// A collector with the rights of `token`, or all rights.
    pub(crate) async fn new(server: &ApiServer, token: Option<&str>) -> anyhow::Result<Self> {
        match token {
            Some(token) => Self::with(server, &server.kubeconfig_for_token(token)).await,
            None => Self::with(server, &server.admin_kubeconfig()).await,
        }
    }

    /// A collector that reaches the API server by this kubeconfig.
    pub(crate) async fn with(server: &ApiServer, kubeconfig: &str) -> anyhow::Result<Self> {
        let settings = CollectSettings { queue_size: 16, ..CollectSettings::default() };
        Self::with_settings(server, kubeconfig, &settings).await
    }

    /// A collector with all rights whose rows may take so many bytes.
    pub(crate) async fn limited(server: &ApiServer, max_store_bytes: u64) -> anyhow::Result<Self> {
        let settings = CollectSettings { max_store_bytes, ..CollectSettings::default() };
        Self::with_settings(server, &server.admin_kubeconfig(), &settings).await
    }

    async fn with_settings(server: &ApiServer, kubeconfig: &str, settings: &CollectSettings) -> anyhow::Result<Self> {
        let (admin, client) = (server.admin().await?, client_from_kubeconfig(kubeconfig).await?);
        let (store, counting) = (Arc::new(Store::new()), Arc::new(Counting::default()));
        let collector = Collector::new(client, store.clone(), settings, counting.clone())?;
        Ok(Self { admin, store, collector, counting })
    }

    pub(crate) fn lists(&self) -> u64 {
        self.counting.lists.load(Ordering::SeqCst)
    }

    pub(crate) fn errors(&self) -> u64 {
        self.counting.errors.load(Ordering::SeqCst)
    }

    /// Creates or changes an object.
    pub(crate) async fn apply(&self, object: Value) -> anyhow::Result<()> {
        let object: DynamicObject = serde_json::from_value(object)?;
        let name = object.metadata.name.clone().unwrap_or_default();
        let parameters = PatchParams::apply("test").force();
        let (api, patch) = (self.api(&object), Patch::Apply(&object));
        // A server that was just restarted may still break the connections that the client kept.
        wait_for("the object is applied", PATIENCE, async || {
            api.patch(&name, &parameters, &patch).await?;
            Ok(true)
        })
        .await
    }

    pub(crate) async fn delete(&self, object: Value) -> anyhow::Result<()> {
        let object: DynamicObject = serde_json::from_value(object)?;
        let name = object.metadata.name.clone().unwrap_or_default();
        let api = self.api(&object);
        wait_for("the object is deleted", PATIENCE, async || {
            api.delete(&name, &DeleteParams::default()).await?;
            Ok(true)
        })
        .await
    }

    fn api(&self, object: &DynamicObject) -> Api<DynamicObject> {
        let types = object.types.clone().unwrap_or_default();
        let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &types.kind));
        match &object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(self.admin.clone(), namespace, &resource),
            None => Api::all_with(self.admin.clone(), &resource),
        }
    }

    pub(crate) async fn namespaces(&self, names: &[&str]) -> anyhow::Result<()> {
        for name in names {
            self.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await?;
        }
        Ok(())
    }

    /// The rows as `namespace/name attributes`, sorted.
    pub(crate) fn rows(&self, target: &str) -> Vec<String> {
        let snapshot = self.store.snapshot(&View::of(vec![key(target)]));
        let mut rows: Vec<String> = snapshot
            .iter()
            .map(|row| format!("{}/{} {}", row.object.namespace, row.object.name, row.attributes.get()))
            .filter(|row| !row.contains("/kube-root-ca.crt "))
            .collect();
        rows.sort();
        rows
    }

    pub(crate) async fn expect_rows(&self, target: &str, expected: &[&str]) -> anyhow::Result<()> {
        let waited = wait_for("rows", PATIENCE, async || Ok(self.rows(target) == expected)).await;
        let status = self.collector.status(&key(target));
        waited.map_err(|e| anyhow::anyhow!("{e}: rows {:?}, expected {expected:?}, {status:?}", self.rows(target)))
    }

    pub(crate) async fn expect_state(
        &self,
        target: &str,
        namespace: &str,
        expected: impl Fn(&PartState) -> bool,
    ) -> anyhow::Result<()> {
        let state = || self.store.part_state(&key(target), namespace);
        let waited = wait_for("coverage", PATIENCE, async || Ok(expected(&state()))).await;
        waited.map_err(|e| anyhow::anyhow!("{e}: {namespace} is {:?}", state()))
    }
}

pub(crate) fn key(name: &str) -> Arc<TargetKey> {
    Arc::new(TargetKey::namespaced("team", name))
}

pub(crate) fn config_map(namespace: &str, name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name}, "data": {"k": value}})
}

/// A target of one attribute `v`.
pub(crate) fn target(
    name: &str,
    gvk: &Gvk,
    namespaces: &[&str],
    path: &str,
    version: u64,
) -> anyhow::Result<TargetSpec> {
    let attributes = [AttributeSource { name: "v".into(), path: path.into(), optional: false }];
    let source =
        ProfileSource { gvk, attributes: &attributes, scrub_keys: &[], allow_secret_extraction: false, resource: None };
    let extractor = Extractor::compile(&source).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    Ok(TargetSpec {
        key: key(name),
        gvk: Arc::new(gvk.clone()),
        extractor: Arc::new(extractor),
        matching: Arc::new(Matching::default()),
        namespaces: WantedNamespaces::Only(Arc::new(namespaces.iter().map(|n| Arc::from(*n)).collect())),
        created: 0,
        version,
    })
}

pub(crate) fn config_maps(name: &str, namespaces: &[&str]) -> anyhow::Result<TargetSpec> {
    target(name, &Gvk::new("", "v1", "ConfigMap"), namespaces, "$.data.k", 1)
}

/// What is known of one namespace.
pub(crate) fn facts(namespace: &str, labels: &[(&str, &str)]) -> Arc<NamespaceFacts> {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let meta = NamespaceMeta { labels, ..NamespaceMeta::default() };
    Arc::new(NamespaceFacts::from([(namespace.into(), Arc::new(meta))]))
}
