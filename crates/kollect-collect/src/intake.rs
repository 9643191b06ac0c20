//! What happens when an object appears, changes or goes: match, extract, put the row.
//!
//! Separate because it is the only place that looks into an object, and the object does not outlive the call. It is
//! synchronous; it must not wait, ask the API server or keep anything of the object but its row.

use crate::failures::Failures;
use crate::feed::{CLUSTER_SCOPED_HOME, Entry, Feed, Table};
use crate::identity;
use crate::matching::{BadHead, Head, Lazy};
use crate::namespaces::{FactsCell, NamespaceFacts};
use crate::observe::{CollectErrorClass, CollectObserver};
use crate::priorities::Priorities;
use crate::store_limit::StoreLimit;
use kollect_extract::{RedactedObject, Scratch, StopSwitch};
use kollect_model::{Cause, ObjectKey, Row, RowId, Uid};
use kollect_store::Store;
use std::sync::Arc;

/// Everything a worker needs; each worker has its own.
pub(crate) struct Intake {
    store: Arc<Store>,
    facts: Arc<FactsCell>,
    observer: Arc<dyn CollectObserver>,
    scratch: Scratch,
    store_limit: Option<Arc<StoreLimit>>,
    priorities: Option<Arc<Priorities>>,
}

impl Intake {
    pub(crate) fn new(store: Arc<Store>, facts: Arc<FactsCell>, observer: Arc<dyn CollectObserver>) -> Self {
        Self { store, facts, observer, scratch: Scratch::default(), store_limit: None, priorities: None }
    }

    /// Refuses rows that are larger, instead of those that are larger than the usual limit.
    pub(crate) fn with_max_row_bytes(self, max_row_bytes: usize) -> Self {
        Self { scratch: Scratch::new(max_row_bytes), ..self }
    }

    /// Keeps to a limit of memory.
    pub(crate) fn below(self, limit: Arc<StoreLimit>) -> Self {
        Self { store_limit: Some(limit), ..self }
    }

    /// Counts what targets spend.
    pub(crate) fn counting(self, priorities: Arc<Priorities>) -> Self {
        Self { priorities: Some(priorities), ..self }
    }

    /// Ends the evaluation that is under way, from another thread, as one that exceeds its limits.
    pub(crate) fn stop_switch(&self) -> StopSwitch {
        self.scratch.stop_switch()
    }

    /// An object that exists. Where its metadata cannot be read, its row stays as it was and the targets say why.
    pub(crate) fn upsert(&mut self, feed: &Feed, raw: &str) {
        match Head::read(raw) {
            Ok(head) => self.upsert_read(feed, &head, raw),
            Err(bad) => self.unreadable(feed, &bad),
        }
    }

    /// An object that exists, with its metadata.
    pub(crate) fn upsert_read(&mut self, feed: &Feed, head: &Head<'_>, raw: &str) {
        let table = feed.table();
        let home = home_of(head);
        let Some((home, entries)) = table.of_namespace(home) else {
            self.mismatch(feed, table.len());
            return;
        };
        let facts = self.facts.get();
        let uid = uid_of(feed, head);
        let mut object = Lazy::new(|| decode(feed, &table, raw));
        let mut wanted = 0;
        for entry in entries {
            wanted += 1;
            self.one(feed, entry, &Seen { head, home, uid: &uid, facts: &facts }, &mut object);
        }
        self.mismatch(feed, table.len() - wanted);
    }

    /// An object that is gone.
    pub(crate) fn delete(&mut self, feed: &Feed, raw: &str) {
        match Head::read(raw) {
            Ok(head) => self.delete_uid(feed, &head.namespace, &uid_of(feed, &head)),
            // Its deletion was observed all the same.
            Err(bad) => self.delete_uid(feed, &bad.head.namespace, &uid_of(feed, &bad.head)),
        }
    }

    /// The object with this uid is gone.
    pub(crate) fn delete_uid(&mut self, feed: &Feed, namespace: &str, uid: &Uid) {
        let table = feed.table();
        let home = if namespace.is_empty() { CLUSTER_SCOPED_HOME } else { namespace };
        let Some((_, entries)) = table.of_namespace(home) else { return };
        for entry in entries {
            self.drop_row(entry, uid);
        }
    }

    /// An object whose metadata cannot be read: it fails for every target that may want it, and keeps its row.
    pub(crate) fn unreadable(&mut self, feed: &Feed, bad: &BadHead) {
        let table = feed.table();
        let uid = uid_of(feed, &bad.head);
        if bad.knows_namespace {
            let Some((home, entries)) = table.of_namespace(home_of(&bad.head)) else { return };
            for entry in entries {
                self.report_unreadable(entry, &bad.head, home, &uid, &bad.why);
            }
        } else {
            for entry in table.entries() {
                self.report_unreadable(entry, &bad.head, &Arc::default(), &uid, &bad.why);
            }
        }
    }

    /// Looking at the object failed in a way nobody foresaw: no target keeps a row of it.
    pub(crate) fn give_up(&mut self, feed: &Feed, raw: &str) {
        let table = feed.table();
        let head = match Head::read(raw) {
            Ok(head) => head,
            Err(bad) => return self.unreadable(feed, &bad),
        };
        let uid = uid_of(feed, &head);
        let Some((home, entries)) = table.of_namespace(home_of(&head)) else { return };
        for entry in entries {
            self.failed(entry, &head, home, &uid, "an internal error; please report it");
        }
    }

    fn one(&mut self, feed: &Feed, entry: &Entry, seen: &Seen<'_>, object: &mut Lazy<'_>) {
        let spec = &entry.spec;
        // What the policies of the target take of the budget is not there for its attributes.
        self.scratch.begin();
        let attributes = match spec.matching.matches(seen.head, seen.facts.get(seen.home).map(AsRef::as_ref), object) {
            Ok(false) => return self.drop_row(entry, seen.uid),
            Err(error) => Err(error.to_string()),
            Ok(true) => match object.get() {
                Some(value) => {
                    spec.extractor.extract_matched(value, &mut self.scratch).map_err(|error| error.to_string())
                }
                None => Err("the object is not valid JSON".into()),
            },
        };
        if let Some(priorities) = &self.priorities {
            priorities.spent(&spec.key, self.scratch.spent());
        }
        let attributes = match attributes {
            Ok(attributes) => attributes,
            Err(message) => return self.failed(entry, seen.head, seen.home, seen.uid, &message),
        };
        let id = RowId { target: spec.key.clone(), uid: seen.uid.clone() };
        let namespace = if feed.namespaced { seen.home.clone() } else { Arc::default() };
        let object = ObjectKey { gvk: spec.gvk.clone(), namespace, name: (&*seen.head.name).into() };
        if self.store.upsert(Row::new(id, object, attributes))
            && let Some(limit) = &self.store_limit
        {
            limit.enforce();
        }
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
    fn failed(&self, entry: &Entry, head: &Head<'_>, home: &Arc<str>, uid: &Uid, message: &str) {
        self.store.remove(&entry.spec.key, uid, Cause::Observed);
        self.report_failure(entry, head, home, uid, message);
    }

    fn report_failure(&self, entry: &Entry, head: &Head<'_>, home: &Arc<str>, uid: &Uid, message: &str) {
        let named = self.announce(entry, head, uid, message);
        if entry.failures.add(uid, home, named) {
            self.observer.target_changed(&entry.spec.key);
        }
    }

    fn report_unreadable(&self, entry: &Entry, head: &Head<'_>, home: &Arc<str>, uid: &Uid, message: &str) {
        let named = self.announce(entry, head, uid, message);
        if entry.failures.add_unreadable(uid, home, named) {
            self.observer.target_changed(&entry.spec.key);
        }
    }

    fn announce(&self, entry: &Entry, head: &Head<'_>, uid: &Uid, message: &str) -> String {
        let key = &entry.spec.key;
        tracing::error!(
            target = %key,
            resource = format!("{}/{}", head.namespace, head.name),
            error_class = "terminal",
            error = message,
            "extract attributes"
        );
        self.observer.error(key, CollectErrorClass::Terminal);
        self.observer.extraction_failed(key, &head.namespace, &head.name, uid, message);
        // The condition of the target shows only the newest failure, so it names its object.
        let object: Vec<&str> = [&*head.namespace, &*head.name].into_iter().filter(|part| !part.is_empty()).collect();
        format!("{}: {message}", object.join("/"))
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

fn uid_of(feed: &Feed, head: &Head<'_>) -> Uid {
    identity::uid_of(&feed.kind, &head.namespace, &head.name, &head.uid)
}

/// The namespace an object is matched by.
fn home_of<'a>(head: &'a Head<'_>) -> &'a str {
    if head.namespace.is_empty() { CLUSTER_SCOPED_HOME } else { &head.namespace }
}

/// Decodes what the targets can reach. Items of a list and metadata-only answers do not say their own kind.
fn decode(feed: &Feed, table: &Table, raw: &str) -> Option<RedactedObject> {
    let mut object = table.mask.decode(&feed.kind, raw).ok()?;
    object.set_kind(&feed.kind);
    Some(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Matching;
    use crate::observe::Unobserved;
    use crate::plan::{Gvr, Reach};
    use crate::target::{TargetSpec, WantedNamespaces};
    use kollect_extract::{AttributeSource, Extractor, ProfileSource};
    use kollect_model::{Gvk, TargetKey};
    use kollect_store::PartState;
    use std::collections::{BTreeSet, HashMap};

    fn target(name: &str, namespaces: &[&str], path: &str, matching: Matching) -> TargetSpec {
        let gvk = Gvk::new("", "v1", "ConfigMap");
        let attributes = [AttributeSource { name: "v".into(), path: path.into(), optional: false }];
        let source = ProfileSource {
            gvk: &gvk,
            attributes: &attributes,
            scrub_keys: &[],
            allow_secret_extraction: false,
            resource: None,
        };
        TargetSpec {
            key: Arc::new(TargetKey::namespaced("team", name)),
            extractor: Arc::new(Extractor::compile(&source).unwrap()),
            gvk: Arc::new(gvk),
            matching: Arc::new(matching),
            namespaces: WantedNamespaces::Only(Arc::new(namespaces.iter().map(|n| Arc::from(*n)).collect())),
            created: 0,
            version: 1,
        }
    }

    fn ground(targets: &[TargetSpec]) -> (Feed, Arc<Store>, Intake) {
        let feed = Feed::new(Gvr::new("", "v1", "configmaps"), Gvk::new("", "v1", "ConfigMap"), true);
        let store = Arc::new(Store::new());
        feed.set(targets, &store, &|_| BTreeSet::new(), &HashMap::new());
        let intake = Intake::new(store.clone(), Arc::default(), Arc::new(Unobserved));
        (feed, store, intake)
    }

    fn row(store: &Store, target: &str, uid: &str) -> Option<String> {
        let id = RowId { target: Arc::new(TargetKey::namespaced("team", target)), uid: Uid::parse(uid) };
        store.get(&id).map(|row| row.attributes.get().to_owned())
    }

    fn object(namespace: &str, label: &str, value: &str) -> String {
        format!(
            r#"{{"metadata":{{"name":"cm","namespace":"{namespace}","uid":"u1","labels":{{"kollect.dev/watch":"{label}"}}}},"data":{{"k":"{value}"}}}}"#
        )
    }

    #[test]
    fn every_target_of_the_namespace_gets_its_own_row() {
        let by_name = Matching { names: BTreeSet::from(["other".into()]), ..Matching::default() };
        let (feed, store, mut intake) = ground(&[
            target("data", &["a"], "$.data.k", Matching::default()),
            target("kind", &["a", "b"], "$.kind", Matching::default()),
            target("elsewhere", &["b"], "$.data.k", Matching::default()),
            target("named", &["a"], "$.data.k", by_name),
        ]);
        intake.upsert(&feed, &object("a", "", "1"));
        assert_eq!(row(&store, "data", "u1").as_deref(), Some(r#"{"v":"1"}"#));
        assert_eq!(row(&store, "kind", "u1").as_deref(), Some(r#"{"v":"ConfigMap"}"#), "lists leave the kind out");
        assert_eq!((row(&store, "elsewhere", "u1"), row(&store, "named", "u1")), (None, None));
        intake.upsert(&feed, &object("a", "disabled", "1"));
        assert_eq!((row(&store, "data", "u1"), row(&store, "kind", "u1")), (None, None), "it opted out");
        intake.upsert(&feed, &object("a", "", "2"));
        assert_eq!(row(&store, "data", "u1").as_deref(), Some(r#"{"v":"2"}"#));
        intake.delete(&feed, &object("a", "", "2"));
        assert_eq!(store.rows(), 0);
    }

    #[test]
    fn an_object_whose_metadata_cannot_be_read_fails_by_name_and_keeps_its_row() {
        let (feed, store, mut intake) = ground(&[
            target("here", &["a"], "$.data.k", Matching::default()),
            target("elsewhere", &["b"], "$.data.k", Matching::default()),
        ]);
        let failures = |at: usize| feed.table().entries()[at].failures.report();
        intake.upsert(&feed, &object("a", "", "1"));
        for odd in [
            object("a", "", "2").replace("\"labels\":{", "\"labels\":{\"n\":5,"),
            object("a", "", "2").replace("\"name\":\"cm\"", "\"name\":7"),
            object("a", "", "2").replace("\"labels\":{\"kollect.dev/watch\":\"\"}", "\"labels\":[]"),
        ] {
            intake.upsert(&feed, &odd);
            assert_eq!(row(&store, "here", "u1").as_deref(), Some(r#"{"v":"1"}"#), "{odd}");
            assert_eq!((failures(0).0, failures(1).0), (1, 0), "{odd}");
            let message = failures(0).1.unwrap();
            assert!(message.starts_with('a') && message.contains(": metadata."), "{odd}: {message}");
        }
        intake.upsert(&feed, &object("a", "", "3").replace("\"labels\":{", "\"labels\":{\"n\":null,"));
        assert_eq!((row(&store, "here", "u1").as_deref(), failures(0).0), (Some(r#"{"v":"3"}"#), 0));
        intake.upsert(&feed, &object("a", "", "4").replace("\"namespace\":\"a\"", "\"namespace\":[]"));
        assert_eq!((failures(0).0, failures(1).0), (1, 1), "any target may want it");
        let part = |namespace: &str| store.part_state(&TargetKey::namespaced("team", "here"), namespace);
        let list = || feed.complete(&Reach::Cluster, None, feed.epoch(), &|_| true, &store);
        list();
        assert!(matches!(part("a"), PartState::Lost(_)), "a sink may hold its row, so nothing is proven absent");
        feed.regained(&Reach::Cluster, feed.epoch(), &store);
        assert!(matches!(part("a"), PartState::Lost(_)));
        intake.upsert(&feed, &object("a", "", "5"));
        list();
        assert_eq!(part("a"), PartState::Synced);
        intake.delete(&feed, &object("a", "", "5").replace("\"labels\":{", "\"labels\":{\"n\":5,"));
        assert_eq!((row(&store, "here", "u1"), failures(0).0), (None, 0), "its deletion was observed");
    }

    #[test]
    fn objects_without_a_uid_are_told_apart_by_their_names() {
        let (feed, store, mut intake) = ground(&[target("here", &["a"], "$.data.k", Matching::default())]);
        let bare =
            |name: &str| object("a", "", "1").replace("\"cm\"", &format!("\"{name}\"")).replace("\"u1\"", "null");
        intake.upsert(&feed, &bare("one"));
        intake.upsert(&feed, &bare("two"));
        assert_eq!(store.rows(), 2);
        intake.delete(&feed, &bare("one"));
        assert_eq!(store.rows(), 1);
    }

    #[test]
    fn a_policy_that_meets_a_limit_fails_the_object_and_a_row_that_is_too_large_names_its_limit() {
        let rule = serde_json::json!({"profileRef": "p", "resourceRules": [{
            "gvk": {"version": "v1", "kind": "ConfigMap"},
            "matchPolicy": "lists.range(10000).all(i, object.data.k.matches('(a|b)*c$') || i >= 0)"}]});
        let rules = Matching::of(&serde_json::from_value(rule).unwrap()).unwrap();
        let hostile = target("hostile", &["a"], "$.data.k", rules);
        let plain = target("plain", &["a"], "$.data.k", Matching::default());
        let (feed, store, intake) = ground(&[hostile, plain]);
        let mut intake = intake.with_max_row_bytes(1000);
        let failed = |name: &str| {
            let table = feed.table();
            let entry = table.entries().iter().find(|entry| &*entry.spec.key.name == name).unwrap();
            entry.failures.report().1
        };
        intake.upsert(&feed, &object("a", "", &"ab".repeat(400)));
        let message = failed("hostile").unwrap();
        assert!(message.starts_with("a/cm: limit exceeded: matchPolicy: the object takes more than"), "{message}");
        assert_eq!((row(&store, "hostile", "u1"), row(&store, "plain", "u1").is_some()), (None, true));
        intake.upsert(&feed, &object("a", "", &"ab".repeat(500)));
        let message = failed("plain").unwrap();
        assert!(message.contains("attribute \"v\": limit exceeded: the row is larger than 1000 bytes"), "{message}");
        assert_eq!(row(&store, "plain", "u1"), None);
    }

    #[test]
    fn an_object_that_cannot_be_extracted_loses_its_row_and_is_remembered_until_it_can() {
        let only = target("one", &["a"], "cel:object.data.k.size() > 1 ? 'long' : object.missing", Matching::default());
        let (feed, store, mut intake) = ground(std::slice::from_ref(&only));
        let failures = || feed.table().entries()[0].failures.report();
        intake.upsert(&feed, &object("a", "", "ab"));
        assert_eq!((row(&store, "one", "u1").is_some(), failures()), (true, (0, None)));
        intake.upsert(&feed, &object("a", "", "S"));
        assert_eq!((row(&store, "one", "u1"), failures().0), (None, 1));
        intake.upsert(&feed, &object("a", "", "ab"));
        assert_eq!((row(&store, "one", "u1").is_some(), failures()), (true, (0, None)));
    }
}
