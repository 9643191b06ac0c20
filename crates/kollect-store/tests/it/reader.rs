//! A reader that applies pages to a copy, as a sink does.

use kollect_model::{Change, Digest, Gvk, ObjectKey, Row, RowId, TargetKey, Uid, Version};
use kollect_store::{Changes, ChangesQuery, Store, View};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn key(name: &str) -> Arc<TargetKey> {
    Arc::new(TargetKey::namespaced("shop", name))
}

pub(crate) fn row(target: &str, namespace: &str, uid: &str, value: u64) -> Row {
    let id = RowId { target: key(target), uid: Uid::parse(uid) };
    let gvk = Arc::new(Gvk::new("", "v1", "ConfigMap"));
    let object = ObjectKey { gvk, namespace: namespace.into(), name: format!("cm-{uid}").into() };
    Row::new(id, object, RawValue::from_string(format!("{{\"v\":{value}}}")).unwrap())
}

pub(crate) struct Reader {
    pub(crate) copy: BTreeMap<RowId, Digest>,
    view: View,
    since: Version,
    pub(crate) applied: usize,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { copy: BTreeMap::new(), view: View::empty(), since: Version(0), applied: 0 }
    }

    /// Goes to the view page by page; `between` runs after every page.
    pub(crate) fn catch_up(&mut self, store: &Store, view: &View, limit: usize, mut between: impl FnMut()) {
        let began = store.cut();
        let mut after = Version(0);
        loop {
            let query = ChangesQuery { old: &self.view, since: self.since, new: view, began, after, limit, skip: None };
            let Changes::Delta { changes, upto, more } = store.changes(&query) else {
                panic!("the reader was left behind");
            };
            assert!(changes.len() <= limit.max(1) * 4);
            self.applied += changes.len();
            let mut seen = std::collections::BTreeSet::new();
            for change in changes {
                assert!(seen.insert(change.id().clone()), "two changes of one row in a page");
                match change {
                    Change::Upsert(row) => self.copy.insert(row.id.clone(), row.digest),
                    Change::Delete(deleted) => self.copy.remove(&deleted.id),
                };
            }
            after = upto;
            if !more {
                break;
            }
            between();
        }
        self.view = view.clone();
        self.since = after;
    }

    pub(crate) fn assert_has(&self, store: &Store, view: &View, context: &str) {
        let wanted: BTreeMap<RowId, Digest> =
            store.snapshot(view).iter().map(|row| (row.id.clone(), row.digest)).collect();
        assert_eq!(self.copy, wanted, "{context}");
    }
}
