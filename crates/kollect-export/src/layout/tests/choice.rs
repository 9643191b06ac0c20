//! Split trees and their index, manifests, and the layout that is chosen by the rows.

use super::{AT, config_map, files, held, plan_full, shown, spec};
use crate::contract::files::HeldFile;
use crate::encode::{Content, Format};
use crate::layout::*;
use kollect_model::{Cause, Deleted};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A row with a copy of its object under `key`.
fn copied(name: &str, key: &str, more: &Value) -> Arc<Row> {
    let row = config_map("cfg", name, &format!("u-{name}"), "");
    let mut attributes = json!({key: {"apiVersion": "v1", "kind": "ConfigMap", "data": {"from": name}}});
    attributes.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let attributes = RawValue::from_string(attributes.to_string()).unwrap();
    Arc::new(Row::new(row.id.clone(), row.object.clone(), attributes))
}

fn copies(names: &[&str]) -> Vec<Arc<Row>> {
    names.iter().map(|name| copied(name, "resource", &json!({}))).collect()
}

fn split(format: Format) -> DocumentSpec {
    spec(Mode::Split, format)
}

fn auto() -> DocumentSpec {
    DocumentSpec { content: Content::Manifest, ..spec(Mode::Auto, Format::Yaml) }
}

fn paths(plan: &FilePlan) -> Vec<&str> {
    plan.files.iter().map(|file| &*file.path).collect()
}

const DOCUMENT: &str = "inventory/shop/daily.yaml";
const A: &str = "default/shop/configmap/a.yaml";
const B: &str = "default/shop/configmap/b.yaml";

#[test]
fn the_index_of_a_split_tree_comes_first_and_names_every_file() {
    let rows = copies(&["a", "b"]);
    let checksum = kollect_model::fingerprint_items(rows.iter().map(AsRef::as_ref));
    let index = |format: Format, at: &str| {
        let plan = plan_full(&split(format), &rows, at).unwrap();
        files(&plan).remove(0)
    };
    let (path, yaml) = index(Format::Yaml, AT);
    assert_eq!(path, DOCUMENT);
    let wanted = format!(
        "checksum: {checksum}\ncluster: default\nexportedAt: \"2026-03-02T08:15:30Z\"\nitemCount: 2\npaths:\n- {A}\n- {B}\n\
         schemaVersion: kollect.dev/v1alpha1\n"
    );
    assert_eq!(yaml, wanted);
    let (path, text) = index(Format::Json, "2026-03-02T08:15:30.25Z");
    assert_eq!(path, "inventory/shop/daily.json");
    assert!(
        text.starts_with("{\n  \"schemaVersion\": \"kollect.dev/v1alpha1\",\n  \"itemCount\": 2,\n  \"checksum\": ")
    );
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&value["exportedAt"], &value["cluster"]), (&AT.into(), &"default".into()));
    assert_eq!(value["paths"][1], "default/shop/configmap/b.json");
    assert_eq!(index(Format::Ndjson, AT).1.matches('\n').count(), 1);
}

#[test]
fn a_split_tree_writes_what_changed_and_its_index_and_nothing_when_only_time_passed() {
    let spec = split(Format::Yaml);
    let before = plan_full(&spec, &copies(&["a", "b"]), AT).unwrap();
    let later = plan_full(&spec, &copies(&["a", "b"]), "2027-01-01T00:00:00Z").unwrap();
    assert_eq!(shown(&later.difference(held(&before), &|_| true)), [""; 0]);
    let after = plan_full(&spec, &copies(&["a"]), AT).unwrap();
    assert_eq!(shown(&after.difference(held(&before), &|_| true)), [format!("-{B}"), format!("+{DOCUMENT}")]);
    let held: Vec<_> = before.index.held_documents().collect();
    assert_eq!(held.len(), 3, "the next change is planned from what was delivered");
}

#[test]
fn files_that_stay_without_a_row_are_in_the_index() {
    let kept = |path: &str| HeldFile { path: path.into(), digest: None };
    let stays = vec![kept("default/pay/configmap/z.yaml"), kept(A), kept(DOCUMENT)];
    let plan =
        crate::layout::plan_full(split(Format::Yaml).resolved(&copies(&["a"])), &copies(&["a"]), AT, stays).unwrap();
    let index = &files(&plan)[0].1;
    assert!(index.contains(&format!("itemCount: 2\npaths:\n- {A}\n- default/pay/configmap/z.yaml\n")), "{index}");
    assert!(plan.index.held_documents().any(|file| &*file.path == "default/pay/configmap/z.yaml"));
}

#[test]
fn a_row_where_the_index_is_is_left_out() {
    let index_template = PathTemplate::parse("default/{namespace}/configmap/a.yaml/../{name}", Grammar::Document);
    assert!(index_template.is_err());
    let row_template = PathTemplate::parse("inventory/shop/{sourceName}{extension}", Grammar::Row).unwrap();
    let spec = DocumentSpec { row_template, ..split(Format::Yaml) };
    let plan = plan_full(&spec, &copies(&["daily", "other"]), AT).unwrap();
    assert_eq!(plan.files.len(), 2, "the index and the other row");
    let why = &plan.left_out[0].why;
    assert!(why.contains("index") && why.contains("ConfigMap shop/daily (target shop/cfg)"), "{why}");
}

#[test]
fn a_manifest_is_the_copy_with_its_name_and_a_row_without_one_is_named() {
    let spec = DocumentSpec { content: Content::Manifest, ..spec(Mode::PerResource, Format::Yaml) };
    let plan = plan_full(&spec, &copies(&["a"]), AT).unwrap();
    let wanted = "apiVersion: v1\ndata:\n  from: a\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: shop\n";
    assert_eq!(files(&plan), [(A.to_owned(), wanted.to_owned())]);
    let error = plan_full(&spec, &[config_map("cfg", "b", "u-b", "secret")], AT).unwrap_err().to_string();
    assert!(error.contains("ConfigMap shop/b") && error.contains("export.mode: Resource"), "{error}");
    assert!(!error.contains("secret"));
}

#[test]
fn rows_that_all_are_copies_make_a_tree_of_manifests_and_others_a_document() {
    let spec = auto();
    let plan = |rows: &[Arc<Row>]| plan_full(&spec, rows, AT).unwrap();
    assert_eq!(paths(&plan(&copies(&["a", "b"]))), [A, B]);
    assert!(files(&plan(&copies(&["a"])))[0].1.starts_with("apiVersion: v1\n"));
    let other_key = [copied("a", "resource", &json!({})), copied("b", "object", &json!({}))];
    let mixed = [copied("a", "resource", &json!({})), config_map("cfg", "b", "u-b", "")];
    let two = json!({"again": {"apiVersion": "v1", "kind": "ConfigMap"}});
    for rows in [&other_key[..], &mixed, &[copied("a", "resource", &two)], &[]] {
        let plan = plan(rows);
        assert_eq!((paths(&plan), plan.checksum.is_some()), (vec![DOCUMENT], true));
    }
    let items = DocumentSpec { content: Content::Item, ..spec.clone() };
    assert!(files(&plan_full(&items, &copies(&["a"]), AT).unwrap())[0].1.starts_with("attributes:\n"));
}

#[test]
fn a_chosen_tree_changes_file_by_file_until_a_row_does_not_fit() {
    let spec = auto();
    let before = plan_full(&spec, &copies(&["a", "b"]), AT).unwrap();
    let delta = |changes: &[Change]| plan_delta(&spec, &before.index, changes);
    let changed = copied("b", "resource", &json!({"team": "web"}));
    let Delta::Planned(plan) = delta(&[Change::Upsert(changed), Change::Upsert(copies(&["c"])[0].clone())]) else {
        panic!("a row with a copy needs no other row")
    };
    assert_eq!(shown(&plan.changes), [format!("+{B}"), "+default/shop/configmap/c.yaml".to_owned()]);
    let gone = |name: &str| {
        let row = &copies(&[name])[0];
        Change::Delete(Deleted { id: row.id.clone(), object: Some(row.object.clone()), cause: Cause::Observed })
    };
    assert!(matches!(delta(&[gone("a")]), Delta::Planned(_)));
    for changes in [
        vec![Change::Upsert(config_map("cfg", "c", "u-c", ""))],
        vec![Change::Upsert(copied("c", "object", &json!({})))],
        vec![gone("a"), gone("b")],
    ] {
        assert!(matches!(delta(&changes), Delta::NeedsFullPlan), "{changes:?}");
    }
    let document = plan_full(&spec, &[], AT).unwrap();
    let first = [Change::Upsert(copies(&["a"])[0].clone())];
    assert!(matches!(plan_delta(&spec, &document.index, &first), Delta::NeedsFullPlan));
}

#[test]
fn a_row_without_a_copy_keeps_the_file_that_it_has_and_does_not_stop_the_others() {
    let spec = DocumentSpec { content: Content::Manifest, ..spec(Mode::PerResource, Format::Yaml) };
    let rows = [copies(&["a"])[0].clone(), config_map("cfg", "b", "u-b", "secret")];
    let plan = plan_full(&spec, &rows, AT).unwrap();
    assert!(plan.left_out[0].why.starts_with("cannot encode ConfigMap shop/b"), "{:?}", plan.left_out);
    let of_b = HeldFile { path: "default/shop/configmap/b.yaml".into(), digest: None };
    assert_eq!(shown(&plan.difference([of_b], &|_| true)), [format!("+{A}")], "the row is not gone, so its file stays");
    let again = plan_delta(&spec, &plan.index, &[Change::Upsert(config_map("cfg", "b", "u-b", "other"))]);
    assert!(matches!(again, Delta::Planned(plan) if plan.changes.is_empty()));
    let healed = plan_delta(&spec, &plan.index, &[Change::Upsert(copies(&["b"])[0].clone())]);
    assert!(
        matches!(healed, Delta::NeedsFullPlan) || matches!(healed, Delta::Planned(plan) if !plan.changes.is_empty())
    );
}
