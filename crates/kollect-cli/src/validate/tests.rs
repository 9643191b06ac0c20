//! Tests of `kollect validate` that use private items.

use super::*;
use crate::source_map::SourceText;

fn set(texts: &[&str]) -> ObjectSet {
    ObjectSet::new(texts.iter().enumerate().map(|(i, text)| SourceText::parse(format!("{i}.yaml"), *text)).collect())
}

fn object(kind: &str, namespace: &str, name: &str) -> String {
    format!("apiVersion: kollect.dev/v1alpha1\nkind: {kind}\nmetadata: {{namespace: '{namespace}', name: {name}}}\n")
}

#[test]
fn members_of_a_list_are_objects_of_their_own() {
    let list =
        "kind: List\nitems:\n- {kind: A, metadata: {name: one}}\n- {kind: B, metadata: {name: two}}\n---\nkind: C\n";
    let set = set(&[list, "kind: D\n"]);
    let found: Vec<_> = set.objects().map(|object| (object.prefix, object.kind(), object.name())).collect();
    assert_eq!(found, [("items[0].", "A", "one"), ("items[1].", "B", "two"), ("", "C", ""), ("", "D", "")]);
}

#[test]
fn an_exact_namespace_goes_before_an_unset_one() {
    let texts =
        [object("KollectProfile", "", "p"), object("KollectProfile", "a", "p"), object("KollectProfile", "b", "q")];
    let set = set(&texts.each_ref().map(String::as_str));
    let source = |namespace, name| set.find("KollectProfile", namespace, name).map(|found| found.source);
    assert_eq!(source("a", "p"), Some(1));
    assert_eq!(source("c", "p"), Some(0));
    assert_eq!(source("a", "q"), None);
    assert_eq!(source("", "q"), Some(2));
}

#[test]
fn references_of_every_kind_are_followed() {
    let texts = [
        object("KollectInventory", "a", "i")
            + "spec: {snapshotSinkRefs: [git, {name: s3}], eventSinkRefs: [kafka], targetRefs: [t]}\n",
        object("KollectClusterInventory", "", "c")
            + "spec: {databaseSinkRefs: [pg, {name: pg, namespace: b}], targetRefs: [ct]}\n",
        object("KollectClusterTarget", "", "x") + "spec: {profileRef: {name: p, namespace: b}}\n",
        object("KollectConnectionTest", "a", "y") + "spec: {sinkRef: {databaseSinkRef: pg}}\n",
        object("KollectSnapshotSink", "a", "git"),
        object("KollectDatabaseSink", "kollect-system", "pg"),
    ];
    let set = set(&texts.each_ref().map(String::as_str));
    let found = references::check(&set);
    let missing: Vec<_> = found.missing.iter().map(|m| (m.kind, m.namespace.as_str(), m.name.as_str())).collect();
    assert_eq!(
        missing,
        [
            ("KollectSnapshotSink", "a", "s3"),
            ("KollectEventSink", "a", "kafka"),
            ("KollectTarget", "a", "t"),
            ("KollectDatabaseSink", "b", "pg"),
            ("KollectClusterTarget", "", "ct"),
            ("KollectProfile", "b", "p"),
            ("KollectDatabaseSink", "a", "pg"),
        ]
    );
    let last = found.missing.last().unwrap().finding(&set, "these files");
    assert!(last.message.contains("namespace kollect-system"), "{}", last.message);
    assert_eq!((last.line, last.field.as_str()), (4, "spec.sinkRef.databaseSinkRef"));
}

#[test]
fn a_document_that_is_no_object_is_a_finding() {
    let texts = ["- 1\n", "kind: x\n", "apiVersion: v1\n", "apiVersion: kollect.dev/v1\nkind: KollectProfile\n"];
    let findings = validate(&set(&texts), &RuleSettings::default(), false);
    let fields: Vec<_> = findings.iter().map(|finding| (finding.file.as_str(), finding.field.as_str())).collect();
    assert!(fields.starts_with(&[("0.yaml", ""), ("1.yaml", "apiVersion"), ("2.yaml", "kind")]), "{fields:?}");
    assert!(fields.len() > 3 && fields[3..].iter().all(|(file, _)| *file == "3.yaml"), "{fields:?}");
}
