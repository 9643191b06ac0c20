//! Puts targets into the feeds of their resources, and takes them out again.
//!
//! Separate because here is decided which rows go when a target changes or is gone.

use super::{Planner, not_served};
use crate::collector::LookAgain;
use crate::discovery::Served;
use crate::failures::Failures;
use crate::feed::Feed;
use crate::plan::{FeedId, WatchId, Wish};
use crate::target::{Held, TargetSpec, WantedNamespaces};
use kollect_model::{Gvk, TargetKey};
use kollect_store::Wanted;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tokio::time::Instant;

impl Planner {
    /// Puts every target into the feed of its resource.
    pub(super) fn place(&mut self, specs: &[TargetSpec], again: &LookAgain) {
        let mut groups: BTreeMap<FeedId, Vec<TargetSpec>> = self.feeds.keys().map(|id| (id.clone(), vec![])).collect();
        let mut placed = HashMap::new();
        let before = std::mem::take(&mut self.waiting);
        for spec in specs {
            let Some(Served { gvr, namespaced }) = self.served(&spec.gvk) else {
                placed.insert(spec.key.clone(), None);
                self.wait_for_kind(spec);
                continue;
            };
            let id = FeedId { gvr, priority: self.shared.priorities.of(&spec.key) };
            self.drop_feed_of_other_scope(&id, namespaced);
            let gvr = &id.gvr;
            let kind = Gvk { group: gvr.group.clone(), version: gvr.version.clone(), kind: spec.gvk.kind.clone() };
            let feed = || Arc::new(Feed::new(gvr.clone(), kind, namespaced));
            self.feeds.entry(id.clone()).or_insert_with(feed);
            placed.insert(spec.key.clone(), Some(id.clone()));
            groups.entry(id).or_default().push(spec.clone());
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
        let moved = self.take_out(&placed, &held);
        for (feed_id, specs) in groups {
            let Some(feed) = self.feeds.get(&feed_id) else { continue };
            let of_target = |spec: &TargetSpec| again.get(&spec.key).cloned().unwrap_or_default();
            feed.set(&specs, &self.shared.store, &of_target, &moved);
            if specs.is_empty() && !self.running.keys().any(|id| id.feed() == feed_id) {
                self.feeds.remove(&feed_id);
                self.parked.retain(|id, _| id.feed() != feed_id);
                self.held.retain(|id, _| id.feed() != feed_id);
                self.marked.retain(|id, _| id.feed() != feed_id);
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

    /// Rows of targets that are gone, or that collect another kind now, go. Returns the failures of targets that only
    /// got another priority.
    fn take_out(
        &mut self,
        placed: &HashMap<Arc<TargetKey>, Option<FeedId>>,
        held: &[Held],
    ) -> HashMap<Arc<TargetKey>, Arc<Failures>> {
        let mut leaving: HashMap<&FeedId, HashSet<Arc<TargetKey>>> = HashMap::new();
        let (mut moved, mut gone) = (HashMap::new(), Vec::new());
        for (key, old) in &self.placed {
            let (old, new) = (old.as_ref(), placed.get(key));
            let now = new.and_then(Option::as_ref);
            if new.is_none() || (old.is_some() && now.map(|id| &id.gvr) != old.map(|id| &id.gvr)) {
                gone.push(key);
            }
            let Some(left) = old.filter(|old| now != Some(*old)) else { continue };
            leaving.entry(left).or_default().insert(key.clone());
            let entry = self.feeds.get(left).and_then(|feed| feed.table().get(key).cloned());
            if let Some(entry) = entry.filter(|_| now.is_some_and(|now| now.gvr == left.gvr)) {
                moved.insert(key.clone(), entry.failures.clone());
            }
        }
        for (id, keys) in &leaving {
            if let Some(feed) = self.feeds.get(*id) {
                feed.remove(keys);
            }
        }
        let (store, is_held) = (&self.shared.store, |key: &Arc<TargetKey>| held.iter().any(|held| held.key == *key));
        gone.into_iter().filter(|key| !is_held(key)).for_each(|key| store.remove_target(key));
        for target in held {
            store.ensure_target(&target.key);
            store.set_wanted(&target.key, Wanted::Unknowable(target.why.clone()));
        }
        moved
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
    fn drop_feed_of_other_scope(&mut self, feed_id: &FeedId, namespaced: bool) {
        if self.feeds.get(feed_id).is_none_or(|feed| feed.namespaced == namespaced) {
            return;
        }
        self.feeds.remove(feed_id);
        let watches: Vec<WatchId> = self.parked.keys().filter(|id| id.feed() == *feed_id).cloned().collect();
        for id in &watches {
            self.unpark(id);
        }
        self.held.retain(|id, _| id.feed() != *feed_id);
        self.marked.retain(|id, _| id.feed() != *feed_id);
        self.stop_watches_of(feed_id);
    }

    pub(super) fn wishes(&self) -> Vec<Wish> {
        let wish = |(id, feed): (&FeedId, &Arc<Feed>)| {
            let table = feed.table();
            Wish {
                gvr: id.gvr.clone(),
                priority: id.priority,
                namespaced: feed.namespaced,
                namespaces: table.namespaces(),
                metadata_only: table.mask.metadata_only(),
            }
        };
        self.feeds.iter().filter(|(_, feed)| !self.waiting.contains(&feed.kind)).map(wish).collect()
    }
}
