//! Objects of one target whose extraction fails. Workers write it, status reads it. Holds uids and the newest message,
//! never values.

use kollect_model::Uid;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most failing objects that are remembered; more are not counted.
const REMEMBERED: usize = 100_000;

#[derive(Debug, Default)]
struct Inner {
    /// Failing objects and their namespaces.
    objects: HashMap<Uid, Arc<str>>,
    /// Those without readable metadata: a sink may hold rows of them.
    unreadable: HashSet<Uid>,
    last: Option<String>,
}

/// The failing objects of a target.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// Mirrors the number of objects, so that the common case of none takes no lock.
    count: AtomicUsize,
    inner: Mutex<Inner>,
}

impl Failures {
    /// Remembers a failure. Returns whether the status changes by it.
    pub(crate) fn add(&self, uid: &Uid, namespace: &Arc<str>, message: String) -> bool {
        let mut inner = self.inner.lock();
        let mut changed = inner.last.as_ref() != Some(&message);
        inner.last = Some(message);
        if inner.objects.len() < REMEMBERED {
            changed |= inner.objects.insert(uid.clone(), namespace.clone()).is_none();
        }
        self.count.store(inner.objects.len(), Ordering::Release);
        changed
    }

    /// Remembers an object whose metadata cannot be read. Returns whether the status changes by it.
    pub(crate) fn add_unreadable(&self, uid: &Uid, namespace: &Arc<str>, message: String) -> bool {
        let changed = self.add(uid, namespace, message);
        let mut inner = self.inner.lock();
        if inner.objects.contains_key(uid) {
            inner.unreadable.insert(uid.clone());
        }
        changed
    }

    /// The namespaces of objects whose metadata cannot be read; an empty one means that the namespace is unknown.
    pub(crate) fn unreadable(&self) -> BTreeSet<Arc<str>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return BTreeSet::new();
        }
        let inner = self.inner.lock();
        inner.unreadable.iter().filter_map(|uid| inner.objects.get(uid)).cloned().collect()
    }

    /// The object is extracted, does not match any more, or is gone. Returns whether it was failing.
    pub(crate) fn clear(&self, uid: &Uid) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut inner = self.inner.lock();
        let was_failing = inner.objects.remove(uid).is_some();
        inner.unreadable.remove(uid);
        self.settle(&mut inner);
        was_failing
    }

    /// Drops the objects that a complete list did not contain.
    pub(crate) fn keep(&self, stays: impl Fn(&str, &Uid) -> bool) {
        if self.count.load(Ordering::Acquire) > 0 {
            let mut inner = self.inner.lock();
            inner.objects.retain(|uid, namespace| stays(namespace, uid));
            let Inner { objects, unreadable, .. } = &mut *inner;
            unreadable.retain(|uid| objects.contains_key(uid));
            self.settle(&mut inner);
        }
    }

    fn settle(&self, inner: &mut Inner) {
        if inner.objects.is_empty() {
            inner.last = None;
        }
        self.count.store(inner.objects.len(), Ordering::Release);
    }

    /// The namespaces of failing objects.
    pub(crate) fn namespaces(&self) -> BTreeSet<Arc<str>> {
        self.inner.lock().objects.values().cloned().collect()
    }

    /// How many objects fail, and the newest message.
    pub(crate) fn report(&self) -> (u64, Option<String>) {
        let inner = self.inner.lock();
        (inner.objects.len() as u64, inner.last.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_per_object_and_forgotten_when_they_end() {
        let failures = Failures::default();
        let (one, two) = (Uid::parse("1"), Uid::parse("2"));
        assert!(failures.add(&one, &"a".into(), "first".into()));
        assert!(!failures.add(&one, &"a".into(), "first".into()), "the same failure again changes nothing");
        assert!(failures.add(&two, &"b".into(), "second".into()));
        assert_eq!(failures.report(), (2, Some("second".into())));
        failures.keep(|namespace, _| namespace != "b");
        assert!(!failures.clear(&two));
        assert!(failures.clear(&one));
        assert_eq!(failures.report(), (0, None));
    }
}
