//! Reports per target what the planner found out; control turns it into conditions.

use super::{Planner, not_served};
use crate::desired::{PlannerStatus, PublishedStatus};
use crate::plan::{Reach, WatchAccess};
use crate::targets::spec::{TargetSpec, WantedNamespaces};
use kollect_model::Gvk;
use std::collections::HashMap;
use std::sync::Arc;

impl Planner {
    pub(super) fn publish(&self, specs: &[TargetSpec]) {
        let mut targets = HashMap::with_capacity(specs.len());
        for spec in specs {
            targets.insert(spec.key.clone(), self.status_of(spec));
        }
        let watches = self.running.keys().filter_map(|id| Some((id.clone(), self.saved.get(id)?.progress.clone())));
        let watches = watches.collect();
        self.desired.publish(PublishedStatus { targets, watches }, &*self.shared.observer);
    }

    fn status_of(&self, spec: &TargetSpec) -> PlannerStatus {
        let mut status = PlannerStatus { version: spec.version, ..PlannerStatus::default() };
        if let Some(why) = self.no_room.get(&spec.key) {
            status.no_room = Some(why.as_ref().to_owned());
            return status;
        }
        let Some(Some(resource)) = self.placed.get(&spec.key) else {
            status.not_served = self.not_served_yet(&spec.gvk);
            status.access_error.clone_from(&self.discovery.error);
            return status;
        };
        if self.waiting.contains(&spec.gvk) {
            status.not_served = self.not_served_yet(&spec.gvk);
        }
        let Some(targets) = self.resources.get(resource) else { return status };
        status.failures = targets.table().get(&spec.key).map(|entry| entry.failures.clone());
        status.resource = Some(resource.clone());
        let WantedNamespaces::Only(namespaces) = &spec.namespaces else { return status };
        let reaches: Vec<Reach> = if targets.namespaced {
            namespaces.iter().map(|namespace| Reach::Namespace(namespace.clone())).collect()
        } else {
            vec![Reach::Cluster]
        };
        let whole = resource.watch(Reach::Cluster);
        if let Some((message, _)) = self.access.failure(&whole) {
            status.access_error = Some(message.to_owned());
        }
        if self.plan.watches.contains_key(&whole) {
            return status;
        }
        for reach in reaches {
            let id = resource.watch(reach);
            if self.plan.denied.contains(&id) && self.access.access(&id) == WatchAccess::Denied {
                let namespace = match &id.reach {
                    Reach::Cluster => Arc::default(),
                    Reach::Namespace(namespace) => namespace.clone(),
                };
                status.forbidden.push((namespace, spec.gvk.clone()));
            }
            if let Some((message, _)) = self.access.failure(&id) {
                status.access_error = Some(message.to_owned());
            }
        }
        status
    }

    fn not_served_yet(&self, gvk: &Gvk) -> Option<String> {
        self.discovery.catalog.as_ref().map(|_| not_served(gvk))
    }
}
