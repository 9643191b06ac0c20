//! Puts targets into the feeds of their resources, and takes them out again.
//!
//! Separate because here is decided which rows go when a target changes or is gone.

use super::{Planner, not_served};
use crate::collector::LookAgain;
use crate::discovery::Served;
use crate::feed::Feed;
use crate::plan::{Gvr, WatchId, Wish};
use crate::target::{Held, TargetSpec, WantedNamespaces};
use kollect_model::{Gvk, TargetKey};
use kollect_store::Wanted;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tokio::time::Instant;

impl Planner {
    /// Puts every target into the feed of its resource.
    pub(super) fn place(&mut self, specs: &[TargetSpec], again: &LookAgain) {
        let mut groups: BTreeMap<Gvr, Vec<TargetSpec>> = self.feeds.keys().map(|gvr| (gvr.clone(), vec![])).collect();
        let mut placed = HashMap::new();
        let before = std::mem::take(&mut self.waiting);
        for spec in specs {
            let served = self.served(&spec.gvk);
            placed.insert(spec.key.clone(), served.as_ref().map(|served| served.gvr.clone()));
            match served {
                Some(served) => {
                    self.drop_feed_of_other_scope(&served);
                    let Served { gvr, namespaced } = &served;
                    let kind =
                        Gvk { group: gvr.group.clone(), version: gvr.version.clone(), kind: spec.gvk.kind.clone() };
                    let feed = || Arc::new(Feed::new(gvr.clone(), kind, *namespaced));
                    self.feeds.entry(gvr.clone()).or_insert_with(feed);
                    groups.entry(served.gvr).or_default().push(spec.clone());
                }
                None => self.wait_for_kind(spec),
            }
        }
        // Remembered, so that their rows go once nobody holds them any more.
        let held = self.held_targets();
        for target in &held {
            placed.entry(target.key.clone()).or_insert(None);
        }
        if self.waiting.difference(&before).next().is_some() {
            self.discovery.due = Some(Instant::now());
            self.discovery.backoff.reset();
        }
        self.take_out(&placed, &held);
        for (gvr, specs) in groups {
            let Some(feed) = self.feeds.get(&gvr) else { continue };
            let of_target = |spec: &TargetSpec| again.get(&spec.key).cloned().unwrap_or_default();
            feed.set(&specs, &self.shared.store, &of_target);
            if specs.is_empty() && !self.running.keys().any(|id| id.gvr == gvr) {
                self.feeds.remove(&gvr);
                self.parked.retain(|id, _| id.gvr != gvr);
                self.held.retain(|id, _| id.gvr != gvr);
                self.marked.retain(|id, _| id.gvr != gvr);
            }
        }
        self.placed = placed;
    }

    /// How a kind is served, or was when it still was. Notes kinds that are not.
    fn served(&mut self, gvk: &Gvk) -> Option<Served> {
        if let Some(served) = self.discovery.catalog.as_ref().and_then(|catalog| catalog.get(gvk)) {
            self.kinds.insert(gvk.clone(), served.clone());
            return Some(served.clone());
        }
        self.waiting.insert(gvk.clone());
        self.kinds.get(gvk).cloned()
    }

    /// Targets that are not collected but whose rows stay in the sinks.
    fn held_targets(&self) -> Vec<Held> {
        let no_room = self.no_room.iter().map(|(key, why)| Held { key: key.clone(), why: why.clone() });
        self.desired.held().iter().cloned().chain(no_room).collect()
    }

    /// Rows of targets that are gone, or that collect another kind now, go.
    fn take_out(&mut self, placed: &HashMap<Arc<TargetKey>, Option<Gvr>>, held: &[Held]) {
        let mut gone: HashMap<Gvr, HashSet<Arc<TargetKey>>> = HashMap::new();
        for (key, old) in &self.placed {
            let new = placed.get(key);
            if let Some(gvr) = old
                && new.is_none_or(|new| new.as_ref() != Some(gvr))
            {
                gone.entry(gvr.clone()).or_default().insert(key.clone());
            }
        }
        for (gvr, keys) in &gone {
            if let Some(feed) = self.feeds.get(gvr) {
                feed.remove(keys);
            }
        }
        let moved = gone.values().flatten();
        let vanished = self.placed.keys().filter(|key| !placed.contains_key(*key));
        let (store, is_held) = (&self.shared.store, |key: &Arc<TargetKey>| held.iter().any(|held| held.key == *key));
        moved.chain(vanished).filter(|key| !is_held(key)).for_each(|key| store.remove_target(key));
        for target in held {
            store.ensure_target(&target.key);
            store.set_wanted(&target.key, Wanted::Unknowable(target.why.clone()));
        }
    }

    /// A target whose kind was never served in this process. Without the kind its scope is unknown, so nothing is known of
    /// any object namespace: not before discovery answered, and not after it said that the kind is not there.
    fn wait_for_kind(&self, spec: &TargetSpec) {
        let store = &self.shared.store;
        store.ensure_target(&spec.key);
        let wanted = match spec.namespaces {
            WantedNamespaces::Only(_) if self.discovery.catalog.is_some() => {
                Wanted::Unknowable(not_served(&spec.gvk).into())
            }
            WantedNamespaces::Only(_) | WantedNamespaces::Undecided => Wanted::Undecided,
        };
        store.set_wanted(&spec.key, wanted);
    }

    /// A kind that comes back with another scope has other objects: its watches begin afresh.
    fn drop_feed_of_other_scope(&mut self, served: &Served) {
        let gvr = &served.gvr;
        if self.feeds.get(gvr).is_none_or(|feed| feed.namespaced == served.namespaced) {
            return;
        }
        self.feeds.remove(gvr);
        let watches: Vec<WatchId> = self.parked.keys().filter(|id| id.gvr == *gvr).cloned().collect();
        for id in &watches {
            self.unpark(id);
        }
        self.held.retain(|id, _| id.gvr != *gvr);
        self.marked.retain(|id, _| id.gvr != *gvr);
        self.stop_watches_of(gvr);
    }

    pub(super) fn wishes(&self) -> Vec<Wish> {
        let wish = |feed: &Arc<Feed>| {
            let table = feed.table();
            Wish {
                gvr: feed.gvr.clone(),
                namespaced: feed.namespaced,
                namespaces: table.namespaces(),
                metadata_only: table.mask.metadata_only(),
            }
        };
        self.feeds.values().filter(|feed| !self.waiting.contains(&feed.kind)).map(wish).collect()
    }
}
