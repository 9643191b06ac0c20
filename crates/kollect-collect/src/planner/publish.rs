//! What the planner tells about each target.
//!
//! Separate because it only reads; what it publishes is what control turns into conditions.

use super::{Planner, not_served};
use crate::collector::{Facts, Published};
use crate::plan::{Access, Reach};
use crate::target::{TargetSpec, WantedNamespaces};
use kollect_model::{Gvk, TargetKey};
use std::collections::HashMap;
use std::sync::Arc;

impl Planner {
    pub(super) fn report(&self, specs: &[TargetSpec]) {
        let mut facts = HashMap::with_capacity(specs.len());
        for spec in specs {
            facts.insert(spec.key.clone(), self.facts_of(spec));
        }
        let watches = self.running.keys().filter_map(|id| Some((id.clone(), self.parked.get(id)?.progress.clone())));
        let watches = watches.collect();
        self.desired.publish(Published { facts, watches }, &*self.shared.observer);
    }

    fn facts_of(&self, spec: &TargetSpec) -> Facts {
        let mut facts = Facts { version: spec.version, ..Facts::default() };
        if let Some(why) = self.no_room.get(&spec.key) {
            facts.no_room = Some(why.as_ref().to_owned());
            return facts;
        }
        let Some(Some(feed_id)) = self.placed.get(&spec.key) else {
            facts.not_served = self.not_served_yet(&spec.gvk);
            facts.access_error.clone_from(&self.discovery.error);
            return facts;
        };
        if self.waiting.contains(&spec.gvk) {
            facts.not_served = self.not_served_yet(&spec.gvk);
        }
        let Some(feed) = self.feeds.get(feed_id) else { return facts };
        facts.failures = feed.failures(&spec.key);
        facts.feed = Some(feed_id.clone());
        let WantedNamespaces::Only(namespaces) = &spec.namespaces else { return facts };
        let reaches: Vec<Reach> = if feed.namespaced {
            namespaces.iter().map(|namespace| Reach::Namespace(namespace.clone())).collect()
        } else {
            vec![Reach::Cluster]
        };
        let whole = feed_id.watch(Reach::Cluster);
        if let Some((message, _)) = self.book.failure(&whole) {
            facts.access_error = Some(message.to_owned());
        }
        if self.plan.watches.contains_key(&whole) {
            return facts;
        }
        for reach in reaches {
            let id = feed_id.watch(reach);
            if self.plan.denied.contains(&id) && self.book.access(&id) == Access::Denied {
                let namespace = match &id.reach {
                    Reach::Cluster => Arc::default(),
                    Reach::Namespace(namespace) => namespace.clone(),
                };
                facts.forbidden.push((namespace, spec.gvk.clone()));
            }
            if let Some((message, _)) = self.book.failure(&id) {
                facts.access_error = Some(message.to_owned());
            }
        }
        facts
    }

    fn not_served_yet(&self, gvk: &Gvk) -> Option<String> {
        self.discovery.catalog.as_ref().map(|_| not_served(gvk))
    }
}

impl crate::feed::Feed {
    /// The failing objects of a target.
    fn failures(&self, key: &TargetKey) -> Option<Arc<crate::failures::Failures>> {
        self.table().get(key).map(|entry| entry.failures.clone())
    }
}
