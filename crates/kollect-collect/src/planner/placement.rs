//! Assigns targets to the resources that they collect, and removes the rows of targets that are gone.

use super::discovery::ServedKind;
use super::{Planner, not_served};
use crate::desired::Reevaluation;
use crate::plan::{ResourceKey, WatchDemand, WatchId};
use crate::targets::failures::Failures;
use crate::targets::resource_targets::ResourceTargets;
use crate::targets::spec::{PausedTarget, TargetSpec, WantedNamespaces};
use kollect_model::{Gvk, TargetKey};
use kollect_store::WantedParts;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tokio::time::Instant;

impl Planner {
    /// Puts every target into the table of its resource.
    pub(super) fn place_targets(&mut self, specs: &[TargetSpec], reevaluation: &Reevaluation) {
        let mut groups: BTreeMap<ResourceKey, Vec<TargetSpec>> =
            self.resources.keys().map(|id| (id.clone(), vec![])).collect();
        let mut placed = HashMap::new();
        let before = std::mem::take(&mut self.waiting);
        for spec in specs {
            let Some(ServedKind { gvr, namespaced }) = self.served(&spec.gvk) else {
                placed.insert(spec.key.clone(), None);
                self.wait_for_kind(spec);
                continue;
            };
            let id = ResourceKey { gvr, priority: self.shared.priorities.of(&spec.key) };
            self.drop_resource_of_other_scope(&id, namespaced);
            let gvr = &id.gvr;
            let kind = Gvk { group: gvr.group.clone(), version: gvr.version.clone(), kind: spec.gvk.kind.clone() };
            let new_targets = || Arc::new(ResourceTargets::new(gvr.clone(), kind, namespaced));
            self.resources.entry(id.clone()).or_insert_with(new_targets);
            placed.insert(spec.key.clone(), Some(id.clone()));
            groups.entry(id).or_default().push(spec.clone());
        }
        // Kept, so that their rows are removed once they are no longer paused.
        let paused = self.paused_targets();
        for target in &paused {
            placed.entry(target.key.clone()).or_insert(None);
        }
        if self.waiting.difference(&before).next().is_some() {
            self.discovery.due = Some(Instant::now());
            self.discovery.backoff.reset();
        }
        let moved = self.remove_from_resources(&placed, &paused);
        for (resource, specs) in groups {
            let Some(targets) = self.resources.get(&resource) else { continue };
            let of_target = |spec: &TargetSpec| reevaluation.get(&spec.key).cloned().unwrap_or_default();
            targets.set(&specs, &self.shared.store, &of_target, &moved);
            if specs.is_empty() && !self.running.keys().any(|id| id.resource_key() == resource) {
                self.resources.remove(&resource);
                self.saved.retain(|id, _| id.resource_key() != resource);
                self.restart_delays.retain(|id, _| id.resource_key() != resource);
                self.marked_denied.retain(|id, _| id.resource_key() != resource);
            }
        }
        self.placed = placed;
    }

    /// How a kind is served or was last served. Records kinds that are not served.
    fn served(&mut self, gvk: &Gvk) -> Option<ServedKind> {
        if let Some(served) = self.discovery.catalog.as_ref().and_then(|catalog| catalog.get(gvk)) {
            self.kinds.insert(gvk.clone(), served.clone());
            return Some(served.clone());
        }
        self.waiting.insert(gvk.clone());
        self.kinds.get(gvk).cloned()
    }

    /// Targets that are not collected but whose rows stay in the sinks.
    fn paused_targets(&self) -> Vec<PausedTarget> {
        let no_room = self.no_room.iter().map(|(key, why)| PausedTarget { key: key.clone(), why: why.clone() });
        self.desired.paused().iter().cloned().chain(no_room).collect()
    }

    /// Removes rows of targets that are gone or collect another kind now. Returns the failures of targets that only changed
    /// their priority.
    fn remove_from_resources(
        &mut self,
        placed: &HashMap<Arc<TargetKey>, Option<ResourceKey>>,
        paused: &[PausedTarget],
    ) -> HashMap<Arc<TargetKey>, Arc<Failures>> {
        let mut leaving: HashMap<&ResourceKey, HashSet<Arc<TargetKey>>> = HashMap::new();
        let (mut moved, mut gone) = (HashMap::new(), Vec::new());
        for (key, old) in &self.placed {
            let (old, new) = (old.as_ref(), placed.get(key));
            let now = new.and_then(Option::as_ref);
            if new.is_none() || (old.is_some() && now.map(|id| &id.gvr) != old.map(|id| &id.gvr)) {
                gone.push(key);
            }
            let Some(left) = old.filter(|old| now != Some(*old)) else { continue };
            leaving.entry(left).or_default().insert(key.clone());
            let entry = self.resources.get(left).and_then(|targets| targets.table().get(key).cloned());
            if let Some(entry) = entry.filter(|_| now.is_some_and(|now| now.gvr == left.gvr)) {
                moved.insert(key.clone(), entry.failures.clone());
            }
        }
        for (id, keys) in &leaving {
            if let Some(targets) = self.resources.get(*id) {
                targets.remove(keys);
            }
        }
        let store = &self.shared.store;
        let is_paused = |key: &Arc<TargetKey>| paused.iter().any(|paused| paused.key == *key);
        gone.into_iter().filter(|key| !is_paused(key)).for_each(|key| store.remove_target(key));
        for target in paused {
            store.ensure_target(&target.key);
            store.set_wanted(&target.key, WantedParts::Unknowable(target.why.clone()));
        }
        moved
    }

    /// A target whose kind was never served in this process. The scope of the kind is unknown, so every object namespace
    /// stays unproven, before discovery has answered and after it has reported that the kind is not served.
    fn wait_for_kind(&self, spec: &TargetSpec) {
        let store = &self.shared.store;
        store.ensure_target(&spec.key);
        let wanted = match spec.namespaces {
            WantedNamespaces::Only(_) if self.discovery.catalog.is_some() => {
                WantedParts::Unknowable(not_served(&spec.gvk).into())
            }
            WantedNamespaces::Only(_) | WantedNamespaces::Undecided => WantedParts::Undecided,
        };
        store.set_wanted(&spec.key, wanted);
    }

    /// A kind that is served again with another scope has other objects: its watches start from a new list.
    fn drop_resource_of_other_scope(&mut self, resource: &ResourceKey, namespaced: bool) {
        if self.resources.get(resource).is_none_or(|targets| targets.namespaced == namespaced) {
            return;
        }
        self.resources.remove(resource);
        let watches: Vec<WatchId> = self.saved.keys().filter(|id| id.resource_key() == *resource).cloned().collect();
        for id in &watches {
            self.forget_saved(id);
        }
        self.restart_delays.retain(|id, _| id.resource_key() != *resource);
        self.marked_denied.retain(|id, _| id.resource_key() != *resource);
        self.stop_watches_of(resource);
    }

    pub(super) fn watch_demands(&self) -> Vec<WatchDemand> {
        let demand = |(id, targets): (&ResourceKey, &Arc<ResourceTargets>)| {
            let table = targets.table();
            WatchDemand {
                gvr: id.gvr.clone(),
                priority: id.priority,
                namespaced: targets.namespaced,
                namespaces: table.namespaces(),
                metadata_only: table.mask.metadata_only(),
            }
        };
        self.resources.iter().filter(|(_, targets)| !self.waiting.contains(&targets.kind)).map(demand).collect()
    }
}
