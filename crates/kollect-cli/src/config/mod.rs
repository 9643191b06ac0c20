//! A directory of Kollect objects, as an operator would find them in a cluster.
//!
//! Separate from the commands that use it. It reads files and the environment, checks what it reads against the same
//! rules as the admission webhook, and contacts nobody. Values of Secrets never leave it but in `SecretData`.

mod check;
mod error;
mod files;
mod secrets;

pub use error::{ConfigError, Origin, Refused};

use files::Document;
use kollect_api::{
    KollectClusterScope, KollectClusterTarget, KollectDatabaseSink, KollectInventory, KollectProfile, KollectScope,
    KollectSnapshotSink, KollectTarget,
};
use kollect_resources::profile::CompiledProfile;
use kollect_resources::registry::SinkObject;
use kollect_resources::secret_data::SecretData;
use kollect_resources::target::TargetObject;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Namespace of objects that name none.
const DEFAULT_NAMESPACE: &str = "default";

/// A target of either kind.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it was read.
    pub origin: Origin,
    /// Namespace; empty for a KollectClusterTarget.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Labels, for the selectors of inventories.
    pub labels: BTreeMap<String, String>,
    /// The object.
    pub object: TargetObject,
}

impl Target {
    /// Whether it is a KollectClusterTarget.
    pub fn is_cluster(&self) -> bool {
        matches!(self.object, TargetObject::Cluster(_))
    }

    /// `namespace/name`, or the name alone for a KollectClusterTarget.
    pub fn title(&self) -> String {
        if self.namespace.is_empty() { self.name.to_string() } else { format!("{}/{}", self.namespace, self.name) }
    }
}

/// Everything that the directory says.
#[derive(Default)]
pub struct Config {
    /// By name; the namespace does not matter.
    pub profiles: BTreeMap<String, CompiledProfile>,
    /// In the order of the files.
    pub targets: Vec<Target>,
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
    /// What deserves a look.
    pub warnings: Vec<String>,
    /// Where each object was read, by kind, namespace and name.
    origins: BTreeMap<(String, String, String), Origin>,
}

/// Reads and checks a directory. `env` gives the values of `${env:NAME}`.
pub fn load(dir: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    for document in files::documents(dir)? {
        config.take(document, env)?;
    }
    if config.profiles.is_empty() {
        return Err(ConfigError::Missing { dir: dir.display().to_string(), what: "KollectProfile" });
    }
    if config.targets.is_empty() {
        return Err(ConfigError::Missing { dir: dir.display().to_string(), what: "KollectTarget" });
    }
    check::references(&config)?;
    Ok(config)
}

impl Config {
    fn take(&mut self, document: Document, env: &dyn Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        let Document { origin, value } = document;
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (text("/apiVersion"), text("/kind"));
        if version == "v1" && kind == "Secret" {
            let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
            let data = secrets::read(&origin, &name, &value, env)?;
            self.secrets.insert((or_default(&namespace), name), Arc::new(data));
            return Ok(());
        }
        if version != format!("{}/{}", kollect_api::GROUP, kollect_api::VERSION) {
            let what = if kind.is_empty() {
                "something that is no Kubernetes object".to_owned()
            } else {
                format!("{version} {kind}")
            };
            self.warnings.push(format!("{origin}: {what} is not used"));
            return Ok(());
        }
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        if name.is_empty() {
            return Err(ConfigError::Shape { origin, what: kind, why: "metadata.name is missing".to_owned() });
        }
        let place = (kind.clone(), namespace.clone(), name.clone());
        if let Some(earlier) = self.origins.insert(place, origin.clone()) {
            self.warnings.push(format!("{origin}: {kind} {name} replaces the one in {earlier}"));
        }
        self.warnings.extend(
            check::object(&value).map_err(|violations| ConfigError::refused(&origin, &kind, &name, violations))?,
        );
        self.keep(&origin, &kind, (namespace, name), value)
    }

    fn keep(
        &mut self,
        origin: &Origin,
        kind: &str,
        (namespace, name): (String, String),
        value: Value,
    ) -> Result<(), ConfigError> {
        match kind {
            "KollectProfile" => {
                let compiled = CompiledProfile::new(Arc::new(typed::<KollectProfile>(origin, kind, value)?), &[]);
                if let Err(why) = &compiled.result {
                    let why = vec![why.clone()];
                    return Err(ConfigError::refused(origin, kind, &name, why));
                }
                self.profiles.insert(name, compiled);
            }
            "KollectTarget" => {
                let mut object: KollectTarget = typed(origin, kind, value)?;
                object.metadata.namespace = Some(or_default(&namespace));
                let target = Target {
                    origin: origin.clone(),
                    namespace: or_default(&namespace).into(),
                    name: name.into(),
                    labels: object.metadata.labels.clone().unwrap_or_default(),
                    object: TargetObject::Namespaced(Arc::new(object)),
                };
                self.put_target(target);
            }
            "KollectClusterTarget" => {
                let object: KollectClusterTarget = typed(origin, kind, value)?;
                let target = Target {
                    origin: origin.clone(),
                    namespace: Arc::default(),
                    name: name.into(),
                    labels: object.metadata.labels.clone().unwrap_or_default(),
                    object: TargetObject::Cluster(Arc::new(object)),
                };
                self.put_target(target);
            }
            "KollectInventory" => {
                let mut object: KollectInventory = typed(origin, kind, value)?;
                object.metadata.namespace = Some(or_default(&namespace));
                replace(&mut self.inventories, object, |o| (o.metadata.namespace.clone(), o.metadata.name.clone()));
            }
            "KollectSnapshotSink" => {
                let mut object: KollectSnapshotSink = typed(origin, kind, value)?;
                object.metadata.namespace = Some(or_default(&namespace));
                replace(&mut self.sinks, SinkObject::Snapshot(Arc::new(object)), sink_identity);
            }
            "KollectDatabaseSink" => {
                let mut object: KollectDatabaseSink = typed(origin, kind, value)?;
                object.metadata.namespace = Some(or_default(&namespace));
                replace(&mut self.sinks, SinkObject::Database(Arc::new(object)), sink_identity);
            }
            "KollectScope" => {
                let mut object: KollectScope = typed(origin, kind, value)?;
                object.metadata.namespace = Some(or_default(&namespace));
                self.scopes.push(object);
            }
            "KollectClusterScope" => self.cluster_scopes.push(typed(origin, kind, value)?),
            other => self.warnings.push(format!("{origin}: {other} {name} is not used by this command")),
        }
        Ok(())
    }

    fn put_target(&mut self, target: Target) {
        replace(&mut self.targets, target, |target| (target.namespace.clone(), target.name.clone()));
    }

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
    pub fn profile(&self, target: &Target) -> Option<&CompiledProfile> {
        self.profiles.get(&*target.object.profile_key().name)
    }

    /// Where an object was read.
    pub fn origin(&self, kind: &str, namespace: &str, name: &str) -> Option<&Origin> {
        self.origins.get(&(kind.to_owned(), namespace.to_owned(), name.to_owned()))
    }
}

fn or_default(namespace: &str) -> String {
    if namespace.is_empty() { DEFAULT_NAMESPACE.to_owned() } else { namespace.to_owned() }
}

fn typed<K: serde::de::DeserializeOwned>(origin: &Origin, kind: &str, value: Value) -> Result<K, ConfigError> {
    serde_json::from_value(value).map_err(|error| ConfigError::Shape {
        origin: origin.clone(),
        what: kind.to_owned(),
        why: error.to_string(),
    })
}

/// Later ones win, in the place of the earlier.
fn replace<T, I: PartialEq>(all: &mut Vec<T>, new: T, identity: impl Fn(&T) -> I) {
    match all.iter_mut().find(|old| identity(old) == identity(&new)) {
        Some(old) => *old = new,
        None => all.push(new),
    }
}

fn sink_identity(sink: &SinkObject) -> (bool, Option<String>, Option<String>) {
    let meta = sink.meta();
    (matches!(sink, SinkObject::Snapshot(_)), meta.namespace.clone(), meta.name.clone())
}

#[cfg(test)]
mod tests;
