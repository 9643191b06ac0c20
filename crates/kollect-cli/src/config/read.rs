//! From the documents of a directory to typed objects, each checked alone by the rules of admission.

use super::check;
use super::error::{ConfigError, DocumentOrigin};
use super::files::ConfigDocument;
use super::objects::{CollectConfig, ConfigTarget};
use super::secrets;
use kollect_api::{KollectClusterTarget, KollectProfile, KollectTarget};
use kollect_resources::profile::CompiledProfile;
use kollect_resources::registry::SinkObject;
use kollect_resources::target::TargetObject;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

/// Namespace of objects that name none.
const DEFAULT_NAMESPACE: &str = "default";

/// A document of the group `kollect.dev`.
struct KollectDocument<'a> {
    origin: &'a DocumentOrigin,
    kind: &'a str,
    /// That of the object, else the default one.
    namespace: String,
    name: String,
}

impl KollectDocument<'_> {
    fn typed<K: DeserializeOwned>(&self, value: Value) -> Result<K, ConfigError> {
        serde_json::from_value(value).map_err(|error| ConfigError::Shape {
            origin: self.origin.clone(),
            what: self.kind.to_owned(),
            why: error.to_string(),
        })
    }

    /// An object of a kind with namespaces.
    fn namespaced<K: DeserializeOwned + Resource>(&self, value: Value) -> Result<K, ConfigError> {
        let mut object: K = self.typed(value)?;
        object.meta_mut().namespace = Some(self.namespace.clone());
        Ok(object)
    }
}

impl CollectConfig {
    pub(super) fn add(
        &mut self,
        document: ConfigDocument,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        let ConfigDocument { origin, value } = document;
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
        let document = KollectDocument { origin: &origin, kind: &kind, namespace: or_default(&namespace), name };
        self.add_kollect(&document, value)
    }

    fn add_kollect(&mut self, document: &KollectDocument<'_>, value: Value) -> Result<(), ConfigError> {
        match document.kind {
            "KollectProfile" => return self.add_profile(document, value),
            "KollectTarget" => {
                let object: KollectTarget = document.namespaced(value)?;
                self.add_target(document, TargetObject::Namespaced(Arc::new(object)));
            }
            "KollectClusterTarget" => {
                let object: KollectClusterTarget = document.typed(value)?;
                self.add_target(document, TargetObject::Cluster(Arc::new(object)));
            }
            "KollectInventory" => {
                let object = document.namespaced(value)?;
                replace(&mut self.inventories, object, |o| (o.metadata.namespace.clone(), o.metadata.name.clone()));
            }
            "KollectSnapshotSink" => {
                let object = SinkObject::Snapshot(Arc::new(document.namespaced(value)?));
                replace(&mut self.sinks, object, sink_identity);
            }
            "KollectDatabaseSink" => {
                let object = SinkObject::Database(Arc::new(document.namespaced(value)?));
                replace(&mut self.sinks, object, sink_identity);
            }
            "KollectScope" => self.scopes.push(document.namespaced(value)?),
            "KollectClusterScope" => self.cluster_scopes.push(document.typed(value)?),
            other => {
                let KollectDocument { origin, name, .. } = document;
                self.warnings.push(format!("{origin}: {other} {name} is not used by this command"));
            }
        }
        Ok(())
    }

    fn add_profile(&mut self, document: &KollectDocument<'_>, value: Value) -> Result<(), ConfigError> {
        let KollectDocument { origin, kind, name, .. } = document;
        let compiled = CompiledProfile::new(Arc::new(document.typed::<KollectProfile>(value)?), &[]);
        if let Err(why) = &compiled.result {
            return Err(ConfigError::refused(origin, kind, name, vec![why.clone()]));
        }
        self.profiles.insert(name.clone(), compiled);
        Ok(())
    }

    fn add_target(&mut self, document: &KollectDocument<'_>, object: TargetObject) {
        let (namespace, labels) = match &object {
            TargetObject::Namespaced(target) => (document.namespace.as_str().into(), &target.metadata.labels),
            TargetObject::Cluster(target) => (Arc::default(), &target.metadata.labels),
        };
        let target = ConfigTarget {
            origin: document.origin.clone(),
            namespace,
            name: document.name.as_str().into(),
            labels: labels.clone().unwrap_or_default(),
            object,
        };
        replace(&mut self.targets, target, |target| (target.namespace.clone(), target.name.clone()));
    }
}

fn or_default(namespace: &str) -> String {
    if namespace.is_empty() { DEFAULT_NAMESPACE.to_owned() } else { namespace.to_owned() }
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
