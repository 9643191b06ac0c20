//! The objects of a configuration, typed.

use super::error::DocumentOrigin;
use kollect_api::{KollectClusterScope, KollectInventory, KollectScope};
use kollect_resources::profile::CompiledProfile;
use kollect_resources::registry::SinkObject;
use kollect_resources::secret_data::SecretData;
use kollect_resources::target::TargetObject;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A target of either kind.
#[derive(Clone, Debug)]
pub struct ConfigTarget {
    /// Where it was read.
    pub origin: DocumentOrigin,
    /// Namespace; empty for a KollectClusterTarget.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Labels, for the selectors of inventories.
    pub labels: BTreeMap<String, String>,
    /// The object.
    pub object: TargetObject,
}

impl ConfigTarget {
    /// Whether it is a KollectClusterTarget.
    pub fn is_cluster(&self) -> bool {
        matches!(self.object, TargetObject::Cluster(_))
    }

    /// `namespace/name`, or the name alone for a KollectClusterTarget.
    pub fn title(&self) -> String {
        if self.namespace.is_empty() { self.name.to_string() } else { format!("{}/{}", self.namespace, self.name) }
    }
}

/// The objects of a directory.
#[derive(Default)]
pub struct CollectConfig {
    /// By name; the namespace does not matter.
    pub profiles: BTreeMap<String, CompiledProfile>,
    /// In the order of the files.
    pub targets: Vec<ConfigTarget>,
    /// In the order of the files.
    pub inventories: Vec<KollectInventory>,
    /// Sinks of all families that can be built.
    pub sinks: Vec<SinkObject>,
    /// Limits of namespaces.
    pub scopes: Vec<KollectScope>,
    /// Limits of cluster targets.
    pub cluster_scopes: Vec<KollectClusterScope>,
    /// By namespace and name.
    pub secrets: BTreeMap<(String, String), Arc<SecretData>>,
    /// Warnings about single objects.
    pub warnings: Vec<String>,
    /// Where each object was read, by kind, namespace and name.
    pub(super) origins: BTreeMap<(String, String, String), DocumentOrigin>,
}

impl CollectConfig {
    /// Makes every target collect from this namespace only.
    pub fn force_namespace(&mut self, namespace: &str) {
        for target in &mut self.targets {
            let included = match &mut target.object {
                TargetObject::Namespaced(object) => &mut Arc::make_mut(object).spec.included_namespaces,
                TargetObject::Cluster(object) => &mut Arc::make_mut(object).spec.included_namespaces,
            };
            *included = vec![namespace.to_owned()];
        }
    }

    /// The profile of a target. Loading made sure that it exists.
    pub fn profile(&self, target: &ConfigTarget) -> Option<&CompiledProfile> {
        self.profiles.get(&*target.object.profile_key().name)
    }

    /// Where an object was read.
    pub fn origin(&self, kind: &str, namespace: &str, name: &str) -> Option<&DocumentOrigin> {
        self.origins.get(&(kind.to_owned(), namespace.to_owned(), name.to_owned()))
    }
}
