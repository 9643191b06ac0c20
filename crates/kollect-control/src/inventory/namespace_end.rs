//! The end of a namespace. Its targets are deleted before its inventories, and their rows leave the view: what an
//! inventory retains must not leave the sinks that way.

use crate::control::Control;
use crate::inventory::object::InventoryObject;
use crate::kinds::{Kind, ObjectRef};
use crate::shared::supervise;
use crate::world::in_namespace;
use k8s_openapi::api::core::v1::Namespace;
use kollect_api::DeletionPolicy;
use kube::api::Api;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(5);
/// An answer this old says nothing about a deletion that is seen now. By then the watch of namespaces has caught up.
const FRESH: Duration = Duration::from_mins(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Being asked.
    Pending,
    /// Whether it was being deleted at this time.
    Known { ends: bool, at: Instant },
}

/// What the API server said about namespaces in which a target is deleted.
#[derive(Clone, Debug, Default)]
pub(crate) struct NamespaceEnds(Arc<Mutex<HashMap<Arc<str>, Answer>>>);

/// What a target's deletion waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Ask,
    Wait,
    GoOn,
}

impl NamespaceEnds {
    fn next(&self, namespace: &Arc<str>, now: Instant) -> Next {
        let mut answers = self.0.lock();
        answers.retain(|_, answer| !matches!(answer, Answer::Known { at, .. } if *at + FRESH <= now));
        match answers.get(namespace) {
            Some(Answer::Pending) => Next::Wait,
            Some(Answer::Known { .. }) => Next::GoOn,
            None => {
                answers.insert(namespace.clone(), Answer::Pending);
                Next::Ask
            }
        }
    }

    fn answered(&self, namespace: &Arc<str>, ends: bool, at: Instant) {
        self.0.lock().insert(namespace.clone(), Answer::Known { ends, at });
    }

    /// Until when the namespace counts as ending; afterwards its watch says so.
    fn ends_until(&self, namespace: &str, now: Instant) -> Option<Instant> {
        match self.0.lock().get(namespace) {
            Some(Answer::Known { ends: true, at }) => Some(*at + FRESH).filter(|until| *until > now),
            _ => None,
        }
    }

    fn is_pending(&self, namespace: &str) -> bool {
        self.0.lock().get(namespace) == Some(&Answer::Pending)
    }
}

/// Whether an inventory ends with its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WithNamespace {
    /// It goes on.
    Stays,
    /// The API server is being asked; its answer marks the inventory.
    Unknown,
    /// It leaves, and what it exported stays.
    Leaves,
}

impl Control {
    /// Whether the end of its namespace is the end of an inventory whose data is retained.
    pub(super) fn ends_with_namespace(&self, object: &ObjectRef, inventory: &InventoryObject) -> WithNamespace {
        if inventory.deletion_policy() == DeletionPolicy::Delete {
            return WithNamespace::Stays;
        }
        if let Some(until) = self.namespace_ends.ends_until(&object.namespace, Instant::now()) {
            self.dirty.mark_at(object.clone(), until);
            return WithNamespace::Leaves;
        }
        if self.is_terminating(&object.namespace) {
            return WithNamespace::Leaves;
        }
        let pending = self.namespace_ends.is_pending(&object.namespace);
        if pending { WithNamespace::Unknown } else { WithNamespace::Stays }
    }

    /// As far as the watch of namespaces has come.
    fn is_terminating(&self, namespace: &str) -> bool {
        let facts = self.namespaces.borrow();
        facts.as_ref().and_then(|facts| facts.get(namespace)).is_some_and(|namespace| namespace.terminating)
    }

    /// Whether a target that is being deleted may leave the views now. Its deletion may be seen before that of its
    /// namespace, so the API server is asked where an inventory retains; the answer marks the target.
    pub(crate) fn may_leave_views(&self, target: &ObjectRef) -> bool {
        let namespace = &target.namespace;
        let retains = in_namespace(&self.world.read().inventories, namespace)
            .any(|(_, inventory)| inventory.spec.deletion_policy == DeletionPolicy::Retain);
        if !retains || self.is_terminating(namespace) {
            return true;
        }
        match self.namespace_ends.next(namespace, Instant::now()) {
            Next::GoOn => return true,
            Next::Wait => {}
            Next::Ask => self.ask_for_end(namespace.clone()),
        }
        false
    }

    fn ask_for_end(&self, namespace: Arc<str>) {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let (ends, dirty, world) = (self.namespace_ends.clone(), self.dirty.clone(), self.world.clone());
        tokio::spawn(async move {
            let request = tokio::time::timeout(DEADLINE, api.get_metadata_opt(&namespace));
            // Without an answer a deletion is what it looks like.
            let terminating = match supervise::caught(request).await {
                Ok(Ok(Ok(found))) => found.is_none_or(|found| found.metadata.deletion_timestamp.is_some()),
                _ => false,
            };
            ends.answered(&namespace, terminating, Instant::now());
            let world = world.read();
            for (key, _) in in_namespace(&world.inventories, &namespace) {
                dirty.mark(ObjectRef::new(Kind::Inventory, key));
            }
            for (key, _) in in_namespace(&world.targets, &namespace) {
                dirty.mark(ObjectRef::new(Kind::Target, key));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_waits_for_one_fresh_answer_about_its_namespace() {
        let (ends, now, team) = (NamespaceEnds::default(), Instant::now(), Arc::from("team"));
        assert_eq!(ends.next(&team, now), Next::Ask);
        assert_eq!(ends.next(&team, now), Next::Wait);
        ends.answered(&team, false, now);
        assert_eq!(ends.next(&team, now), Next::GoOn);
        assert_eq!(ends.ends_until("team", now), None);
        assert_eq!(ends.next(&team, now + FRESH), Next::Ask, "an old answer says nothing");
        ends.answered(&team, true, now + FRESH);
        assert!(!ends.is_pending("team"));
        assert_eq!(ends.ends_until("team", now + FRESH), Some(now + FRESH * 2));
        assert_eq!(ends.ends_until("team", now + FRESH * 2), None, "the watch of namespaces says so");
    }
}
