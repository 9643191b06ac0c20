//! What happens when an object appears, changes or is deleted: match, extract, put the row.
//!
//! The only place that reads an object, which does not outlive the call. It must not wait, call the API server or keep
//! anything of the object but its row.

use crate::identity;
use crate::limits::priorities::Priorities;
use crate::limits::store_limit::StoreLimit;
use crate::matching::{LazyObject, ObjectHead, UnreadableHead};
use crate::namespaces::facts::{FactsCell, NamespaceFacts};
use crate::observe::{CollectErrorClass, CollectObserver};
use crate::targets::failures::Failures;
use crate::targets::resource_targets::ResourceTargets;
use crate::targets::target_table::{CLUSTER_SCOPED_NAMESPACE, TableEntry, TargetTable};
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

    /// Replaces the default limit on the size of a row.
    pub(crate) fn with_max_row_bytes(self, max_row_bytes: usize) -> Self {
        Self { scratch: Scratch::new(max_row_bytes), ..self }
    }

    /// Enforces a memory limit after each row.
    pub(crate) fn below(self, limit: Arc<StoreLimit>) -> Self {
        Self { store_limit: Some(limit), ..self }
    }

    /// Charges evaluations to their targets.
    pub(crate) fn counting(self, priorities: Arc<Priorities>) -> Self {
        Self { priorities: Some(priorities), ..self }
    }

    /// Stops the evaluation in progress from another thread, as if it exceeded its limits.
    pub(crate) fn stop_switch(&self) -> StopSwitch {
        self.scratch.stop_switch()
    }

    /// An object that exists. If its metadata is invalid, its row stays as it was and the targets report why.
    pub(crate) fn upsert(&mut self, targets: &ResourceTargets, raw: &str) {
        match ObjectHead::read(raw) {
            Ok(head) => self.upsert_read(targets, &head, raw),
            Err(bad) => self.unreadable(targets, &bad),
        }
    }

    /// An object that exists, with its metadata.
    pub(crate) fn upsert_read(&mut self, targets: &ResourceTargets, head: &ObjectHead<'_>, raw: &str) {
        let table = targets.table();
        let namespace = matching_namespace(head);
        let Some((namespace, entries)) = table.of_namespace(namespace) else {
            self.mismatch(targets, table.len());
            return;
        };
        let facts = self.facts.get();
        let uid = uid_of(targets, head);
        let mut object = LazyObject::new(|| decode(targets, &table, raw));
        let mut wanted = 0;
        for entry in entries {
            wanted += 1;
            self.apply_to_target(
                targets,
                entry,
                &MatchContext { head, namespace, uid: &uid, facts: &facts },
                &mut object,
            );
        }
        self.mismatch(targets, table.len() - wanted);
    }

    /// An object that was deleted.
    pub(crate) fn delete(&mut self, targets: &ResourceTargets, raw: &str) {
        match ObjectHead::read(raw) {
            Ok(head) => self.delete_uid(targets, &head.namespace, &uid_of(targets, &head)),
            // Its deletion was observed all the same.
            Err(bad) => self.delete_uid(targets, &bad.head.namespace, &uid_of(targets, &bad.head)),
        }
    }

    /// The object with this uid was deleted.
    pub(crate) fn delete_uid(&mut self, targets: &ResourceTargets, namespace: &str, uid: &Uid) {
        let table = targets.table();
        let namespace = if namespace.is_empty() { CLUSTER_SCOPED_NAMESPACE } else { namespace };
        let Some((_, entries)) = table.of_namespace(namespace) else { return };
        for entry in entries {
            self.drop_row(entry, uid);
        }
    }

    /// An object with invalid metadata: it fails for every target that may want it, and keeps its row.
    pub(crate) fn unreadable(&mut self, targets: &ResourceTargets, bad: &UnreadableHead) {
        let table = targets.table();
        let uid = uid_of(targets, &bad.head);
        if bad.knows_namespace {
            let Some((namespace, entries)) = table.of_namespace(matching_namespace(&bad.head)) else { return };
            for entry in entries {
                self.report_unreadable(entry, &bad.head, namespace, &uid, &bad.why);
            }
        } else {
            for entry in table.entries() {
                self.report_unreadable(entry, &bad.head, &Arc::default(), &uid, &bad.why);
            }
        }
    }

    /// Processing the object panicked: no target keeps a row of it.
    pub(crate) fn give_up(&mut self, targets: &ResourceTargets, raw: &str) {
        let table = targets.table();
        let head = match ObjectHead::read(raw) {
            Ok(head) => head,
            Err(bad) => return self.unreadable(targets, &bad),
        };
        let uid = uid_of(targets, &head);
        let Some((namespace, entries)) = table.of_namespace(matching_namespace(&head)) else { return };
        for entry in entries {
            self.failed(entry, &head, namespace, &uid, "an internal error; please report it");
        }
    }

    fn apply_to_target(
        &mut self,
        targets: &ResourceTargets,
        entry: &TableEntry,
        context: &MatchContext<'_>,
        object: &mut LazyObject<'_>,
    ) {
        let spec = &entry.spec;
        // Policies and attributes of the target share one budget.
        self.scratch.begin();
        let attributes = match spec.matching.matches(
            context.head,
            context.facts.get(context.namespace).map(AsRef::as_ref),
            object,
        ) {
            Ok(false) => return self.drop_row(entry, context.uid),
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
            Err(message) => return self.failed(entry, context.head, context.namespace, context.uid, &message),
        };
        let id = RowId { target: spec.key.clone(), uid: context.uid.clone() };
        let namespace = if targets.namespaced { context.namespace.clone() } else { Arc::default() };
        let object = ObjectKey { gvk: spec.gvk.clone(), namespace, name: (&*context.head.name).into() };
        if self.store.upsert(Row::new(id, object, attributes))
            && let Some(limit) = &self.store_limit
        {
            limit.enforce();
        }
        self.recovered(&entry.failures, entry, context.uid);
    }

    fn drop_row(&self, entry: &TableEntry, uid: &Uid) {
        self.store.remove(&entry.spec.key, uid, Cause::Observed);
        self.recovered(&entry.failures, entry, uid);
    }

    fn recovered(&self, failures: &Failures, entry: &TableEntry, uid: &Uid) {
        if failures.clear(uid) {
            self.observer.target_changed(&entry.spec.key);
        }
    }

    /// Fails closed: an object that cannot be extracted has no row, rather than an old one.
    fn failed(&self, entry: &TableEntry, head: &ObjectHead<'_>, namespace: &Arc<str>, uid: &Uid, message: &str) {
        self.store.remove(&entry.spec.key, uid, Cause::Observed);
        self.report_failure(entry, head, namespace, uid, message);
    }

    fn report_failure(
        &self,
        entry: &TableEntry,
        head: &ObjectHead<'_>,
        namespace: &Arc<str>,
        uid: &Uid,
        message: &str,
    ) {
        let named = self.announce(entry, head, uid, message);
        if entry.failures.add(uid, namespace, named) {
            self.observer.target_changed(&entry.spec.key);
        }
    }

    fn report_unreadable(
        &self,
        entry: &TableEntry,
        head: &ObjectHead<'_>,
        namespace: &Arc<str>,
        uid: &Uid,
        message: &str,
    ) {
        let named = self.announce(entry, head, uid, message);
        if entry.failures.add_unreadable(uid, namespace, named) {
            self.observer.target_changed(&entry.spec.key);
        }
    }

    fn announce(&self, entry: &TableEntry, head: &ObjectHead<'_>, uid: &Uid, message: &str) -> String {
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

    fn mismatch(&self, targets: &ResourceTargets, unmatched: usize) {
        if unmatched > 0 {
            self.observer.namespace_mismatch(&targets.gvr, unmatched as u64);
        }
    }
}

/// The object in work, as matching and storing need it.
struct MatchContext<'a> {
    head: &'a ObjectHead<'a>,
    namespace: &'a Arc<str>,
    uid: &'a Uid,
    facts: &'a NamespaceFacts,
}

fn uid_of(targets: &ResourceTargets, head: &ObjectHead<'_>) -> Uid {
    identity::uid_of(&targets.kind, &head.namespace, &head.name, &head.uid)
}

/// The namespace by which an object is matched.
fn matching_namespace<'a>(head: &'a ObjectHead<'_>) -> &'a str {
    if head.namespace.is_empty() { CLUSTER_SCOPED_NAMESPACE } else { &head.namespace }
}

/// Decodes the fields that the targets can reach. Items of a list and metadata-only responses lack their kind.
fn decode(targets: &ResourceTargets, table: &TargetTable, raw: &str) -> Option<RedactedObject> {
    let mut object = table.mask.decode(&targets.kind, raw).ok()?;
    object.set_kind(&targets.kind);
    Some(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Matching;
    use crate::observe::Unobserved;
    use crate::plan::{Gvr, Reach};
    use crate::targets::spec::{TargetSpec, WantedNamespaces};
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

    fn fixture(specs: &[TargetSpec]) -> (ResourceTargets, Arc<Store>, Intake) {
        let targets = ResourceTargets::new(Gvr::new("", "v1", "configmaps"), Gvk::new("", "v1", "ConfigMap"), true);
        let store = Arc::new(Store::new());
        targets.set(specs, &store, &|_| BTreeSet::new(), &HashMap::new());
        let intake = Intake::new(store.clone(), Arc::default(), Arc::new(Unobserved));
        (targets, store, intake)
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
        let (targets, store, mut intake) = fixture(&[
            target("data", &["a"], "$.data.k", Matching::default()),
            target("kind", &["a", "b"], "$.kind", Matching::default()),
            target("elsewhere", &["b"], "$.data.k", Matching::default()),
            target("named", &["a"], "$.data.k", by_name),
        ]);
        intake.upsert(&targets, &object("a", "", "1"));
        assert_eq!(row(&store, "data", "u1").as_deref(), Some(r#"{"v":"1"}"#));
        assert_eq!(row(&store, "kind", "u1").as_deref(), Some(r#"{"v":"ConfigMap"}"#), "lists leave the kind out");
        assert_eq!((row(&store, "elsewhere", "u1"), row(&store, "named", "u1")), (None, None));
        intake.upsert(&targets, &object("a", "disabled", "1"));
        assert_eq!((row(&store, "data", "u1"), row(&store, "kind", "u1")), (None, None), "it opted out");
        intake.upsert(&targets, &object("a", "", "2"));
        assert_eq!(row(&store, "data", "u1").as_deref(), Some(r#"{"v":"2"}"#));
        intake.delete(&targets, &object("a", "", "2"));
        assert_eq!(store.rows(), 0);
    }

    #[test]
    fn an_object_whose_metadata_cannot_be_read_fails_by_name_and_keeps_its_row() {
        let (targets, store, mut intake) = fixture(&[
            target("here", &["a"], "$.data.k", Matching::default()),
            target("elsewhere", &["b"], "$.data.k", Matching::default()),
        ]);
        let failures = |at: usize| targets.table().entries()[at].failures.report();
        intake.upsert(&targets, &object("a", "", "1"));
        for odd in [
            object("a", "", "2").replace("\"labels\":{", "\"labels\":{\"n\":5,"),
            object("a", "", "2").replace("\"name\":\"cm\"", "\"name\":7"),
            object("a", "", "2").replace("\"labels\":{\"kollect.dev/watch\":\"\"}", "\"labels\":[]"),
        ] {
            intake.upsert(&targets, &odd);
            assert_eq!(row(&store, "here", "u1").as_deref(), Some(r#"{"v":"1"}"#), "{odd}");
            assert_eq!((failures(0).0, failures(1).0), (1, 0), "{odd}");
            let message = failures(0).1.unwrap();
            assert!(message.starts_with('a') && message.contains(": metadata."), "{odd}: {message}");
        }
        intake.upsert(&targets, &object("a", "", "3").replace("\"labels\":{", "\"labels\":{\"n\":null,"));
        assert_eq!((row(&store, "here", "u1").as_deref(), failures(0).0), (Some(r#"{"v":"3"}"#), 0));
        intake.upsert(&targets, &object("a", "", "4").replace("\"namespace\":\"a\"", "\"namespace\":[]"));
        assert_eq!((failures(0).0, failures(1).0), (1, 1), "any target may want it");
        let part = |namespace: &str| store.part_state(&TargetKey::namespaced("team", "here"), namespace);
        let list = || targets.mark_listed(&Reach::Cluster, None, targets.epoch(), &|_| true, &store);
        list();
        assert!(matches!(part("a"), PartState::Lost(_)), "a sink may hold its row, so nothing is proven absent");
        targets.mark_resumed(&Reach::Cluster, targets.epoch(), &store);
        assert!(matches!(part("a"), PartState::Lost(_)));
        intake.upsert(&targets, &object("a", "", "5"));
        list();
        assert_eq!(part("a"), PartState::Synced);
        intake.delete(&targets, &object("a", "", "5").replace("\"labels\":{", "\"labels\":{\"n\":5,"));
        assert_eq!((row(&store, "here", "u1"), failures(0).0), (None, 0), "its deletion was observed");
    }

    #[test]
    fn objects_without_a_uid_are_distinguished_by_their_names() {
        let (targets, store, mut intake) = fixture(&[target("here", &["a"], "$.data.k", Matching::default())]);
        let bare =
            |name: &str| object("a", "", "1").replace("\"cm\"", &format!("\"{name}\"")).replace("\"u1\"", "null");
        intake.upsert(&targets, &bare("one"));
        intake.upsert(&targets, &bare("two"));
        assert_eq!(store.rows(), 2);
        intake.delete(&targets, &bare("one"));
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
        let (targets, store, intake) = fixture(&[hostile, plain]);
        let mut intake = intake.with_max_row_bytes(1000);
        let failed = |name: &str| {
            let table = targets.table();
            let entry = table.entries().iter().find(|entry| &*entry.spec.key.name == name).unwrap();
            entry.failures.report().1
        };
        intake.upsert(&targets, &object("a", "", &"ab".repeat(400)));
        let message = failed("hostile").unwrap();
        assert!(message.starts_with("a/cm: limit exceeded: matchPolicy: the object takes more than"), "{message}");
        assert_eq!((row(&store, "hostile", "u1"), row(&store, "plain", "u1").is_some()), (None, true));
        intake.upsert(&targets, &object("a", "", &"ab".repeat(500)));
        let message = failed("plain").unwrap();
        assert!(message.contains("attribute \"v\": limit exceeded: the row is larger than 1000 bytes"), "{message}");
        assert_eq!(row(&store, "plain", "u1"), None);
    }

    #[test]
    fn an_object_that_cannot_be_extracted_loses_its_row_and_is_remembered_until_it_can() {
        let only = target("one", &["a"], "cel:object.data.k.size() > 1 ? 'long' : object.missing", Matching::default());
        let (targets, store, mut intake) = fixture(std::slice::from_ref(&only));
        let failures = || targets.table().entries()[0].failures.report();
        intake.upsert(&targets, &object("a", "", "ab"));
        assert_eq!((row(&store, "one", "u1").is_some(), failures()), (true, (0, None)));
        intake.upsert(&targets, &object("a", "", "S"));
        assert_eq!((row(&store, "one", "u1"), failures().0), (None, 1));
        intake.upsert(&targets, &object("a", "", "ab"));
        assert_eq!((row(&store, "one", "u1").is_some(), failures()), (true, (0, None)));
    }
}
