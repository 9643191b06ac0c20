//! Which objects need a look. Anything may mark; one loop takes. Bounded by the number of objects.

use crate::kinds::ObjectRef;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::Instant;

#[derive(Debug, Default)]
struct Marks {
    now: BTreeSet<ObjectRef>,
    later: BTreeMap<ObjectRef, Instant>,
}

/// The set of objects that need a reconcile now or at a later time.
#[derive(Clone, Debug, Default)]
pub struct Dirty {
    marks: Arc<parking_lot::Mutex<Marks>>,
    wake: Arc<Notify>,
}

impl Dirty {
    /// Marks an object for the next round.
    pub fn mark(&self, object: ObjectRef) {
        if self.marks.lock().now.insert(object) {
            self.wake.notify_one();
        }
    }

    /// Marks an object for a round at `when`, or earlier if it was already due earlier.
    pub fn mark_at(&self, object: ObjectRef, when: Instant) {
        let mut marks = self.marks.lock();
        let due = marks.later.entry(object).or_insert(when);
        *due = when.min(*due);
        drop(marks);
        self.wake.notify_one();
    }

    /// Waits until something is due, then takes all that is.
    pub async fn take(&self) -> BTreeSet<ObjectRef> {
        loop {
            let next = {
                let mut marks = self.marks.lock();
                let now = Instant::now();
                let due: Vec<_> =
                    marks.later.iter().filter(|(_, when)| **when <= now).map(|(object, _)| object.clone()).collect();
                for object in due {
                    marks.later.remove(&object);
                    marks.now.insert(object);
                }
                if !marks.now.is_empty() {
                    return std::mem::take(&mut marks.now);
                }
                marks.later.values().min().copied()
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
        self.marks.lock().now.len()
    }
}
