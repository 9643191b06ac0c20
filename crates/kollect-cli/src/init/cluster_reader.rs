//! What `kollect init` reads of a cluster, as a trait that tests implement. It never writes.

use crate::cluster::{AskError, Catalog, Cluster, ServedKind, find_kind};
use kube::api::ListParams;
use serde_json::Value;
use tokio::runtime::Runtime;

/// Most namespaces and objects that are listed.
const NAMESPACES: u32 = 5_000;

/// A cluster to choose kinds, namespaces and objects of.
pub trait ClusterReader {
    /// Context and address of the API server.
    fn address(&self) -> (&str, &str);
    /// The context's namespace.
    fn namespace(&self) -> &str;
    /// The kind that a text names.
    fn kind(&self, text: &str) -> Result<ServedKind, String>;
    /// Kinds that can be collected, as `Deployment.apps`.
    fn kinds(&self) -> Vec<String>;
    /// Names of all namespaces.
    fn namespaces(&self) -> Result<Vec<String>, AskError>;
    /// Up to `most` objects of a kind, as namespace and name.
    fn candidates(
        &self,
        kind: &ServedKind,
        namespace: Option<&str>,
        most: u32,
    ) -> Result<Vec<(String, String)>, AskError>;
    /// One object.
    fn object(&self, kind: &ServedKind, namespace: &str, name: &str) -> Result<Option<Value>, AskError>;
}

/// A real cluster.
pub(super) struct LiveCluster {
    pub(super) cluster: Cluster,
    pub(super) catalog: Catalog,
    pub(super) runtime: Runtime,
}

impl ClusterReader for LiveCluster {
    fn address(&self) -> (&str, &str) {
        (&self.cluster.context, &self.cluster.server)
    }

    fn namespace(&self) -> &str {
        &self.cluster.namespace
    }

    fn kind(&self, text: &str) -> Result<ServedKind, String> {
        let kind = find_kind(&self.catalog, text)?;
        if kind.collectable { Ok(kind) } else { Err(format!("{} cannot be listed and watched", kind.resource.kind)) }
    }

    fn kinds(&self) -> Vec<String> {
        let kinds = self.catalog.kinds().into_iter().filter(|kind| kind.collectable);
        let mut names: Vec<String> = kinds
            .map(|kind| match kind.resource.group.as_str() {
                "" => kind.resource.kind,
                group => format!("{}.{group}", kind.resource.kind),
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn namespaces(&self) -> Result<Vec<String>, AskError> {
        let kind = self.catalog.get(&kollect_model::Gvk::new("", "v1", "Namespace"));
        let Some(kind) = kind else { return Ok(Vec::new()) };
        Ok(self.candidates(&kind, None, NAMESPACES)?.into_iter().map(|(_, name)| name).collect())
    }

    fn candidates(
        &self,
        kind: &ServedKind,
        namespace: Option<&str>,
        most: u32,
    ) -> Result<Vec<(String, String)>, AskError> {
        let objects = self.cluster.objects(kind, namespace);
        let found = self
            .runtime
            .block_on(objects.list_metadata(&ListParams::default().limit(most)))
            .map_err(self.cluster.ask_error(kind.resource.plural.clone()))?;
        let meta = found.items.into_iter().map(|object| object.metadata);
        Ok(meta.map(|meta| (meta.namespace.unwrap_or_default(), meta.name.unwrap_or_default())).collect())
    }

    fn object(&self, kind: &ServedKind, namespace: &str, name: &str) -> Result<Option<Value>, AskError> {
        let found = self.runtime.block_on(self.cluster.get(kind, namespace, name))?;
        Ok(found.and_then(|object| serde_json::to_value(object).ok()))
    }
}
