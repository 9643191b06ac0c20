//! The rows and objects that the leader serves to readers.
//!
//! A request gets the rows of its targets only, and no page before all of them are listed.

use crate::page::{PageFacts, UnlistedPart};
use crate::query::Query;
use crate::statuses;
use kollect_api::{KollectInventory, KollectTarget};
use kollect_model::{Row, TargetKey, Version};
use kollect_resources::cache::{Objects, ResourceCache, in_namespace};
use kollect_resources::kinds::NamespacedName;
use kollect_store::{PartState, Store, View};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The rows and the Kollect objects in the memory of a leader.
pub struct DataSource {
    store: Arc<Store>,
    cache: Arc<RwLock<ResourceCache>>,
    /// Whether the cache is filled.
    started: Arc<AtomicBool>,
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPage {
    /// The cache is not filled.
    #[error("reading the Kollect objects; try again in a moment")]
    Starting,
    /// A target is still being listed, so rows would be missing.
    #[error(
        "target {target} is still being listed; try again in a moment, or ask for other targets with target=<name>"
    )]
    Listing {
        /// `namespace/name`.
        target: String,
    },
    /// No such inventory.
    #[error("no KollectInventory {name} is in namespace {namespace}")]
    NotFound {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
}

impl DataSource {
    /// Reads from `store` and `cache`, once `started`.
    pub fn new(store: Arc<Store>, cache: Arc<RwLock<ResourceCache>>, started: Arc<AtomicBool>) -> Self {
        Self { store, cache, started }
    }

    /// Increases with every change of a row.
    pub(crate) fn version(&self) -> Version {
        self.store.cut()
    }

    /// The rows of a query in canonical order, and the other members of its page.
    pub(crate) fn rows(&self, query: &Query) -> Result<(Vec<Arc<Row>>, PageFacts), NoPage> {
        self.is_started()?;
        let (targets, exports) = {
            let cache = self.cache.read();
            let inventory = inventory_of(&cache, query)?;
            let targets = targets_of(&cache, query, inventory);
            (targets, inventory.map(|inventory| statuses::exports(inventory)).unwrap_or_default())
        };
        let view = View::of(targets.keys().cloned().collect());
        let mut unknown = Vec::new();
        for (key, namespace, state) in self.store.parts(&view) {
            let target = key.to_string();
            let reason = match state {
                PartState::Synced | PartState::Outside => continue,
                PartState::Lost(why) => why.to_string(),
                // A target with a failed `Ready` condition stays pending until it is fixed, so a retry would not help.
                PartState::Pending => match targets.get(&key) {
                    Some(Some(fault)) => fault.clone(),
                    _ => return Err(NoPage::Listing { target }),
                },
            };
            unknown.push(UnlistedPart { target, namespace: namespace.unwrap_or_default(), reason });
        }
        let rows = self.store.snapshot(&view);
        Ok((rows, PageFacts { now: String::new(), exports, unknown }))
    }

    /// All inventories of a namespace, or of all namespaces, as JSON.
    pub(crate) fn inventories(&self, namespace: &str) -> Result<Vec<u8>, NoPage> {
        self.is_started()?;
        Ok(statuses::inventories(&within(&self.cache.read().inventories, namespace)))
    }

    /// All targets of a namespace, or of all namespaces, as JSON.
    pub(crate) fn targets(&self, namespace: &str) -> Result<Vec<u8>, NoPage> {
        self.is_started()?;
        Ok(statuses::targets(&within(&self.cache.read().targets, namespace)))
    }

    fn is_started(&self) -> Result<(), NoPage> {
        if self.started.load(Ordering::Acquire) { Ok(()) } else { Err(NoPage::Starting) }
    }
}

fn within<K>(objects: &Objects<K>, namespace: &str) -> Vec<Arc<K>> {
    match namespace {
        "" => objects.values().cloned().collect(),
        namespace => in_namespace(objects, namespace).map(|(_, object)| object.clone()).collect(),
    }
}

fn inventory_of<'c>(cache: &'c ResourceCache, query: &Query) -> Result<Option<&'c Arc<KollectInventory>>, NoPage> {
    if query.namespace.is_empty() || query.inventory.is_empty() {
        return Ok(None);
    }
    let found = cache.inventories.get(&NamespacedName::new(&query.namespace, &query.inventory));
    let missing = || NoPage::NotFound { namespace: query.namespace.clone(), name: query.inventory.clone() };
    found.map(Some).ok_or_else(missing)
}

/// The targets of a query, each with the reason why it is not collected. Cluster targets are left out: the right to
/// read one namespace does not cover them.
fn targets_of(
    cache: &ResourceCache,
    query: &Query,
    inventory: Option<&Arc<KollectInventory>>,
) -> BTreeMap<Arc<TargetKey>, Option<String>> {
    let exported = |target: &KollectTarget| {
        let labels = target.metadata.labels.clone().unwrap_or_default();
        let name = target.metadata.name.as_deref().unwrap_or_default();
        inventory.is_none_or(|inventory| kollect_rules::exports_target(&inventory.spec, name, &labels))
    };
    let meant = within(&cache.targets, &query.namespace).into_iter().filter(|target| {
        let name = target.metadata.name.as_deref().unwrap_or_default();
        !target.spec.suspend && (query.target.is_empty() || query.target == name) && exported(target)
    });
    meant
        .map(|target| {
            let meta = &target.metadata;
            let (namespace, name) =
                (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
            (Arc::new(TargetKey::namespaced(namespace, name)), fault_of(&target))
        })
        .collect()
}

fn fault_of(target: &KollectTarget) -> Option<String> {
    let conditions = &target.status.as_ref()?.conditions;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status == "False")?;
    Some(format!("{}: {}", ready.reason, ready.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kollect_model::{Gvk, ObjectKey, RowId, Uid};
    use kollect_store::{Coverage, WantedParts};
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    fn target(namespace: &str, name: &str, labels: &Value, conditions: &Value) -> Arc<KollectTarget> {
        let object = json!({
            "metadata": {"namespace": namespace, "name": name, "labels": labels},
            "spec": {"profileRef": "p"}, "status": {"conditions": conditions},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn source() -> DataSource {
        let mut cache = ResourceCache::default();
        for (namespace, name, team) in [("shop", "apps", "web"), ("shop", "config", "ops"), ("pay", "apps", "web")] {
            let key = NamespacedName::new(namespace, name);
            cache.targets.insert(key, target(namespace, name, &json!({"team": team}), &json!([])));
        }
        let inventory = |spec: Value| {
            let object = json!({"metadata": {"namespace": "shop", "name": "daily"}, "spec": spec});
            Arc::new(serde_json::from_value::<KollectInventory>(object).unwrap())
        };
        let selector = json!({"targetSelector": {"matchLabels": {"team": "web"}}, "snapshotSinkRefs": ["audit"]});
        cache.inventories.insert(NamespacedName::new("shop", "daily"), inventory(selector));
        cache.inventories.insert(NamespacedName::new("shop", "named"), inventory(json!({"targetRefs": ["config"]})));
        let store = Arc::new(Store::new());
        for key in [("shop", "apps"), ("shop", "config"), ("pay", "apps")] {
            let key = Arc::new(TargetKey::namespaced(key.0, key.1));
            store.ensure_target(&key);
            store.set_wanted(&key, WantedParts::ClusterScoped);
            let id = RowId { target: key.clone(), uid: Uid::parse("u") };
            let object =
                ObjectKey { gvk: Arc::new(Gvk::new("", "v1", "Node")), namespace: "".into(), name: "n".into() };
            store.upsert(Row::new(id, object, RawValue::from_string("{}".into()).unwrap()));
            store.set_coverage(&key, "", Coverage::Synced);
        }
        DataSource::new(store, Arc::new(RwLock::new(cache)), Arc::new(AtomicBool::new(true)))
    }

    fn seen(source: &DataSource, query: &str) -> Vec<String> {
        let (rows, _) = source.rows(&Query::parse(query)).unwrap();
        rows.iter().map(|row| row.id.target.to_string()).collect()
    }

    #[test]
    fn a_namespace_sees_its_own_targets_and_an_inventory_those_it_exports() {
        let source = source();
        assert_eq!(seen(&source, ""), ["pay/apps", "shop/apps", "shop/config"]);
        assert_eq!(seen(&source, "namespace=shop"), ["shop/apps", "shop/config"]);
        assert_eq!(seen(&source, "namespace=shop&inventory=daily"), ["shop/apps"]);
        assert_eq!(seen(&source, "namespace=shop&inventory=named"), ["shop/config"]);
        assert_eq!(seen(&source, "namespace=absent"), [""; 0]);
        let missing = source.rows(&Query::parse("namespace=shop&inventory=other")).unwrap_err();
        assert!(matches!(missing, NoPage::NotFound { .. }));
        let (_, facts) = source.rows(&Query::parse("namespace=shop&inventory=daily")).unwrap();
        assert_eq!(facts.exports.len(), 1);
    }

    #[test]
    fn nothing_is_answered_while_it_is_still_being_listed() {
        let source = source();
        let config = TargetKey::namespaced("shop", "config");
        source.store.set_coverage(&config, "", Coverage::Pending);
        let wait = NoPage::Listing { target: "shop/config".into() };
        assert_eq!(source.rows(&Query::parse("namespace=shop")).unwrap_err(), wait);
        assert_eq!(seen(&source, "namespace=shop&target=apps"), ["shop/apps"]);
        assert_eq!(seen(&source, "namespace=shop&inventory=daily"), ["shop/apps"]);

        let failed = json!([{"type": "Ready", "status": "False", "reason": "ProfileInvalid", "message": "no such profile",
                             "lastTransitionTime": "2026-03-02T08:15:30Z"}]);
        let faulty = target("shop", "config", &json!({}), &failed);
        source.cache.write().targets.insert(NamespacedName::new("shop", "config"), faulty);
        let (rows, facts) = source.rows(&Query::parse("namespace=shop")).unwrap();
        assert_eq!((rows.len(), &*facts.unknown[0].reason), (2, "ProfileInvalid: no such profile"));

        source.store.set_coverage(&config, "", Coverage::Lost("Forbidden".into()));
        let (_, facts) = source.rows(&Query::parse("namespace=shop")).unwrap();
        assert_eq!(&*facts.unknown[0].reason, "Forbidden");
        source.started.store(false, Ordering::Release);
        assert_eq!(source.rows(&Query::parse("")).unwrap_err(), NoPage::Starting);
    }
}
