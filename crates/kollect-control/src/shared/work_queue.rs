//! The objects to reconcile. Any task adds; one loop takes. Bounded by the number of objects.

use kollect_resources::kinds::ObjectRef;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

#[derive(Debug, Default)]
struct Due {
    now: BTreeSet<ObjectRef>,
    later: BTreeMap<ObjectRef, Instant>,
}

/// The set of objects to reconcile now or at a later time. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct WorkQueue {
    due: Arc<parking_lot::Mutex<Due>>,
    wake: Arc<Notify>,
}

impl WorkQueue {
    /// Adds an object to the next round.
    pub fn add(&self, object: ObjectRef) {
        if self.due.lock().now.insert(object) {
            self.wake.notify_one();
        }
    }

    /// Adds an object to a round at `when`, or earlier if it was already due earlier.
    pub fn add_at(&self, object: ObjectRef, when: Instant) {
        let mut all = self.due.lock();
        let due = all.later.entry(object).or_insert(when);
        *due = when.min(*due);
        drop(all);
        self.wake.notify_one();
    }

    /// Adds an object to a round within `wait`, unless it is due by then. Cheap for callers that call often.
    pub fn add_within(&self, object: ObjectRef, wait: Duration) {
        let when = Instant::now() + wait;
        let mut all = self.due.lock();
        if all.now.contains(&object) || all.later.get(&object).is_some_and(|due| *due <= when) {
            return;
        }
        all.later.insert(object, when);
        drop(all);
        self.wake.notify_one();
    }

    /// Waits until something is due, then takes all that is.
    pub async fn take(&self) -> BTreeSet<ObjectRef> {
        loop {
            let next = {
                let mut all = self.due.lock();
                let now = Instant::now();
                let due: Vec<_> =
                    all.later.iter().filter(|(_, when)| **when <= now).map(|(object, _)| object.clone()).collect();
                for object in due {
                    all.later.remove(&object);
                    all.now.insert(object);
                }
                if !all.now.is_empty() {
                    return std::mem::take(&mut all.now);
                }
                all.later.values().min().copied()
            };
            match next {
                Some(when) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep_until(when) => {}
                },
                None => self.wake.notified().await,
            }
        }
    }

    /// How many objects wait for the next round.
    pub fn depth(&self) -> usize {
        self.due.lock().now.len()
    }
}
