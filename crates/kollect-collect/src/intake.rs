//! What happens when an object appears, changes or goes: match, extract, put the row.
//!
//! Separate because it is the only place that looks into an object, and the object does not outlive the call. It is
//! synchronous; it must not wait, ask the API server or keep anything of the object but its row.

use crate::failures::Failures;
use crate::feed::{CLUSTER_SCOPED_HOME, Entry, Feed, Table};
use crate::matching::{Head, Lazy};
use crate::namespaces::{FactsCell, NamespaceFacts};
use crate::observe::{CollectErrorClass, CollectObserver};
use kollect_extract::Scratch;
use kollect_model::{Cause, ObjectKey, Row, RowId, Uid};
use kollect_store::Store;
use serde_json::Value;
use std::sync::Arc;

/// Everything a worker needs; each worker has its own.
pub(crate) struct Intake {
    store: Arc<Store>,
    facts: Arc<FactsCell>,
    observer: Arc<dyn CollectObserver>,
    scratch: Scratch,
}

impl Intake {
    pub(crate) fn new(store: Arc<Store>, facts: Arc<FactsCell>, observer: Arc<dyn CollectObserver>) -> Self {
        Self { store, facts, observer, scratch: Scratch::default() }
    }

    /// An object that exists.
    pub(crate) fn upsert(&mut self, feed: &Feed, raw: &str) {
        let table = feed.table();
        let Ok(head) = Head::read(raw) else { return };
        let home = home_of(&head);
        let Some((home, entries)) = table.of_namespace(home) else {
            self.mismatch(feed, table.len());
            return;
        };
        let facts = self.facts.get();
        let uid = Uid::parse(&head.uid);
        let mut object = Lazy::new(|| decode(feed, &table, raw));
        let mut wanted = 0;
        for entry in entries {
            wanted += 1;
            self.one(feed, entry, &Seen { head: &head, home, uid: &uid, facts: &facts }, &mut object);
        }
        self.mismatch(feed, table.len() - wanted);
    }

    /// An object that is gone.
    pub(crate) fn delete(&mut self, feed: &Feed, raw: &str) {
        let table = feed.table();
        let Ok(head) = Head::read(raw) else { return };
        let uid = Uid::parse(&head.uid);
        let Some((_, entries)) = table.of_namespace(home_of(&head)) else { return };
        for entry in entries {
            self.drop_row(entry, &uid);
        }
    }

    /// Looking at the object failed in a way nobody foresaw: no target keeps a row of it.
    pub(crate) fn give_up(&mut self, feed: &Feed, raw: &str) {
        let table = feed.table();
        let Ok(head) = Head::read(raw) else { return };
        let uid = Uid::parse(&head.uid);
        let Some((home, entries)) = table.of_namespace(home_of(&head)) else { return };
        for entry in entries {
            self.failed(entry, &head, home, &uid, "an internal error; please report it".into());
        }
        self.scratch = Scratch::default();
    }

    fn one(&mut self, feed: &Feed, entry: &Entry, seen: &Seen<'_>, object: &mut Lazy<'_>) {
        let spec = &entry.spec;
        if !spec.matching.matches(seen.head, seen.facts.get(seen.home), object) {
            self.drop_row(entry, seen.uid);
            return;
        }
        let attributes = match object.get() {
            Some(value) => spec.extractor.extract(value, &mut self.scratch).map_err(|error| error.to_string()),
            None => Err("the object is not valid JSON".into()),
        };
        let attributes = match attributes {
            Ok(attributes) => attributes,
            Err(message) => return self.failed(entry, seen.head, seen.home, seen.uid, message),
        };
        let id = RowId { target: spec.key.clone(), uid: seen.uid.clone() };
        let namespace = if feed.namespaced { seen.home.clone() } else { Arc::default() };
        let object = ObjectKey { gvk: spec.gvk.clone(), namespace, name: (&*seen.head.name).into() };
        self.store.upsert(Row::new(id, object, attributes));
        self.recovered(&entry.failures, entry, seen.uid);
    }

    fn drop_row(&self, entry: &Entry, uid: &Uid) {
        self.store.remove(&entry.spec.key, uid, Cause::Observed);
        self.recovered(&entry.failures, entry, uid);
    }

    fn recovered(&self, failures: &Failures, entry: &Entry, uid: &Uid) {
        if failures.clear(uid) {
            self.observer.target_changed(&entry.spec.key);
        }
    }

    /// Fails closed: an object that cannot be extracted has no row, rather than an old one.
    fn failed(&self, entry: &Entry, head: &Head<'_>, home: &Arc<str>, uid: &Uid, message: String) {
        let key = &entry.spec.key;
        self.store.remove(key, uid, Cause::Observed);
        tracing::error!(
            target = %key,
            resource = format!("{}/{}", head.namespace, head.name),
            error_class = "terminal",
            error = message,
            "extract attributes"
        );
        self.observer.error(key, CollectErrorClass::Terminal);
        if entry.failures.add(uid, home, message) {
            self.observer.target_changed(key);
        }
    }

    fn mismatch(&self, feed: &Feed, targets: usize) {
        if targets > 0 {
            self.observer.namespace_mismatch(&feed.gvr, targets as u64);
        }
    }
}

/// What is known of the object that is being looked at.
struct Seen<'a> {
    head: &'a Head<'a>,
    home: &'a Arc<str>,
    uid: &'a Uid,
    facts: &'a NamespaceFacts,
}

/// The namespace an object is matched by.
fn home_of<'a>(head: &'a Head<'_>) -> &'a str {
    if head.namespace.is_empty() { CLUSTER_SCOPED_HOME } else { &head.namespace }
}

/// Decodes what the targets can reach. Items of a list and metadata-only answers do not say their own kind.
fn decode(feed: &Feed, table: &Table, raw: &str) -> Option<Value> {
    let mut value = table.mask.decode(raw).ok()?;
    let fields = value.as_object_mut()?;
    fields.insert("apiVersion".into(), feed.kind.api_version().into());
    fields.insert("kind".into(), (&*feed.kind.kind).into());
    Some(value)
}
