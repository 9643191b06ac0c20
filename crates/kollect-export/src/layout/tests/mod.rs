//! Plans: parts, digests, collisions, deltas and differences.

mod choice;
mod folders;

use super::*;
use crate::contract::files::{Body, FileChange};
use crate::contract::ids::InventoryKey;
use crate::encode::{Content, Format};
use kollect_model::Reason;
use kollect_model::{Cause, Deleted, Digest, Gvk, ObjectKey, RowId, TargetKey, Uid};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

pub(super) fn plan_full(spec: &DocumentSpec, rows: &[Arc<Row>], exported_at: &str) -> Result<FilePlan, LayoutError> {
    crate::layout::plan_full(spec.resolved(rows), rows, exported_at, Vec::new())
}

pub(super) const AT: &str = "2026-03-02T08:15:30Z";

pub(super) fn config_map(target: &str, name: &str, uid: &str, value: &str) -> Arc<Row> {
    let id = RowId { target: Arc::new(TargetKey::namespaced("shop", target)), uid: Uid::parse(uid) };
    let object =
        ObjectKey { gvk: Arc::new(Gvk::new("", "v1", "ConfigMap")), namespace: "shop".into(), name: name.into() };
    Arc::new(Row::new(id, object, RawValue::from_string(format!("{{\"k\":\"{value}\"}}")).unwrap()))
}

fn abc() -> Vec<Arc<Row>> {
    let value = |c: &str, n| c.repeat(n);
    vec![
        config_map("cfg", "a", "u-a", &value("x", 60)),
        config_map("cfg", "b", "u-b", &value("y", 60)),
        config_map("cfg", "c", "u-c", &value("z", 10)),
    ]
}

pub(super) fn spec(mode: Mode, format: Format) -> DocumentSpec {
    DocumentSpec {
        mode,
        content: Content::Item,
        format,
        path_template: PathTemplate::parse(DEFAULT_DOCUMENT_TEMPLATE, Grammar::Document).unwrap(),
        row_template: PathTemplate::parse(DEFAULT_ROW_TEMPLATE, Grammar::Row).unwrap(),
        index_template: PathTemplate::parse(DEFAULT_DOCUMENT_TEMPLATE, Grammar::Document).unwrap(),
        filename: FilenameOptions::default(),
        cluster: "".into(),
        inventory: InventoryKey { namespace: "shop".into(), name: "daily".into() },
        generation: 4,
        sink_name: "audit".into(),
        max_bytes: 0,
        backend_limit: None,
        partitioning: Partitioning::Auto,
        commit: CommitTemplates::default(),
        author: Author::default(),
    }
}

fn text(body: &dyn Body) -> String {
    let mut out = Vec::new();
    body.write_to(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

pub(super) fn files(plan: &FilePlan) -> Vec<(String, String)> {
    plan.files.iter().map(|file| (file.path.to_string(), text(&*file.body))).collect()
}

pub(super) fn held(plan: &FilePlan) -> Vec<HeldFile> {
    plan.files.iter().map(|file| HeldFile { path: file.path.clone(), digest: Some(file.digest) }).collect()
}

pub(super) fn shown(changes: &[FileChange]) -> Vec<String> {
    let show = |change: &FileChange| match change {
        FileChange::Put { path, .. } => format!("+{path}"),
        FileChange::Delete { path } => format!("-{path}"),
    };
    changes.iter().map(show).collect()
}

/// What readers of the reference compare parts by: SHA-256 over the checksum of each part and a line feed.
fn partitions_checksum(checksums: &[&str]) -> String {
    let lines: String = checksums.iter().flat_map(|checksum| [checksum, "\n"]).collect();
    kollect_model::hex(&Sha256::digest(lines))
}

#[test]
fn documents_are_split_by_the_data_contract() {
    let a = "204d04d52cb52264a85d1c098eb86a5363191e91697d555f834c6148b7888a82";
    let c = "383b96329e72f2ede2bc6f76d0763dc77ec0750f44f333b16eba36ba536bc6a8";
    let ab = "8145473f09315f288e3a606c3d5df8881bd6fc4d7960079aeaaf996bed8bae0d";
    let bc = "f93251872e2f894cfbadeac56e6e41a6c6385cf33fc8eac6b4f34233c5f3e711";
    let all = "2423144266c315eb626b8d8f5d19e6a792418d755848ffd179d22a6be0c67033";
    let cases: [(u64, &[usize], &str); 6] = [
        (0, &[755], ""),
        (1000, &[755], ""),
        (755, &[755], ""),
        (700, &[629, 375], "6bba1f9829104ebabb906b1dcf62fd0fc22ff76a72bb56a87d600672c6818f34"),
        (620, &[425, 579], "129727378da813cda19095915ba12da3bb4c532d4d16614c99661737d41e2c70"),
        (480, &[425, 425, 375], "592e2a7203db6630df3a76b698d839f7a414f037d13d3fa50a36b2e3e4f61dea"),
    ];
    for (max_bytes, sizes, together) in cases {
        let plan = plan_full(&DocumentSpec { max_bytes, ..spec(Mode::Document, Format::Json) }, &abc(), AT).unwrap();
        let files = files(&plan);
        assert_eq!(files.iter().map(|(_, text)| text.len()).collect::<Vec<_>>(), sizes, "ceiling {max_bytes}");
        let envelopes: Vec<Value> = files.iter().map(|(_, text)| serde_json::from_str(text).unwrap()).collect();
        let checksums: Vec<&str> = envelopes.iter().map(|envelope| envelope["checksum"].as_str().unwrap()).collect();
        match max_bytes {
            700 => assert_eq!(checksums, [ab, c]),
            620 => assert_eq!(checksums, [a, bc]),
            480 => assert_eq!((checksums[0], checksums[2]), (a, c)),
            _ => assert_eq!(checksums, [all]),
        }
        if !together.is_empty() {
            assert_eq!(partitions_checksum(&checksums), together, "ceiling {max_bytes}");
        }
        for (at, (path, text)) in files.iter().enumerate() {
            let (marker, suffix) = match sizes.len() {
                1 => (",\"itemCount\"".to_owned(), String::new()),
                n => {
                    (format!(",\"partIndex\":{},\"partTotal\":{n},", at + 1), format!(".part-{:04}-of-{n:04}", at + 1))
                }
            };
            assert!(text.contains(&format!("\"generation\":4{marker}")), "{text}");
            assert_eq!(*path, format!("inventory/shop/daily{suffix}.json"));
        }
        assert_eq!((plan.checksum.as_deref(), plan.bytes, plan.rows), (Some(all), Some(755), 3));
    }
}

#[test]
fn the_smaller_of_ceiling_and_backend_limit_counts() {
    let spec = DocumentSpec { max_bytes: 700, backend_limit: Some(480), ..spec(Mode::Document, Format::Json) };
    let plan = plan_full(&spec, &abc(), AT).unwrap();
    assert_eq!(files(&plan).iter().map(|(_, text)| text.len()).collect::<Vec<_>>(), [425, 425, 375]);
}

#[test]
fn no_part_of_any_format_is_over_the_ceiling_and_together_they_are_the_whole() {
    let rows: Vec<_> = (0..200).map(|i| config_map("cfg", &format!("n{i:03}"), &format!("u{i}"), "v")).collect();
    for format in [Format::Json, Format::Yaml, Format::Ndjson] {
        let whole = plan_full(&spec(Mode::Document, format), &rows, AT).unwrap();
        let whole_text = text(&*whole.files[0].body);
        assert_eq!(whole.bytes, Some(whole_text.len() as u64));
        for max_bytes in [400, 1000, 5000] {
            let plan = plan_full(&DocumentSpec { max_bytes, ..spec(Mode::Document, format) }, &rows, AT).unwrap();
            let parts = files(&plan);
            assert!(parts.len() > 1 && parts.iter().all(|(_, text)| text.len() as u64 <= max_bytes));
            if format != Format::Json {
                assert_eq!(parts.into_iter().map(|(_, text)| text).collect::<String>(), whole_text);
            }
        }
    }
}

#[test]
fn a_row_that_fits_nowhere_is_refused_by_name_and_without_its_value() {
    let error =
        plan_full(&DocumentSpec { max_bytes: 300, ..spec(Mode::Document, Format::Json) }, &abc(), AT).unwrap_err();
    assert!(matches!(&error, LayoutError::PayloadTooLarge { what, size: 425, limit: 300, .. }
        if what == "ConfigMap shop/a (target shop/cfg)"));
    assert!(!error.to_string().contains("xxx"));
    assert_eq!(error.into_sink_error().reason, Some(Reason::PayloadTooLarge));
}

#[test]
fn without_partitioning_a_large_document_is_refused() {
    let spec = |max_bytes, spill_limit| DocumentSpec {
        max_bytes,
        partitioning: Partitioning::Disabled { spill_limit },
        ..spec(Mode::Document, Format::Json)
    };
    let plan = |max_bytes, spill_limit| plan_full(&spec(max_bytes, spill_limit), &abc(), AT);
    assert!(matches!(plan(754, Some(10)), Err(LayoutError::PayloadTooLarge { size: 755, limit: 754, .. })));
    assert_eq!(plan(1000, Some(754)).unwrap_err(), LayoutError::SpillRequired { size: 755, limit: 754 });
    assert_eq!(plan(755, Some(755)).unwrap().files.len(), 1);
    assert_eq!(plan(0, None).unwrap().files.len(), 1);
}

#[test]
fn the_time_of_an_export_alone_changes_no_digest_but_content_and_shape_do() {
    let base = spec(Mode::Document, Format::Json);
    let digest = |spec: &DocumentSpec, rows: &[Arc<Row>], at: &str| plan_full(spec, rows, at).unwrap().files[0].digest;
    let first = digest(&base, &abc(), AT);
    assert_eq!(digest(&base, &abc(), "2030-01-01T00:00:00Z"), first);
    let mut others = vec![
        digest(&DocumentSpec { generation: 5, ..base.clone() }, &abc(), AT),
        digest(&DocumentSpec { cluster: "eu".into(), ..base.clone() }, &abc(), AT),
        digest(&DocumentSpec { format: Format::Yaml, ..base.clone() }, &abc(), AT),
        digest(&DocumentSpec { mode: Mode::PerResource, ..base.clone() }, &abc(), AT),
        digest(&DocumentSpec { max_bytes: 700, ..base.clone() }, &abc(), AT),
        digest(&base, &abc()[1..], AT),
        digest(&DocumentSpec { mode: Mode::PerResource, content: Content::Attributes, ..base }, &abc(), AT),
        first,
    ];
    others.sort_unstable();
    others.dedup();
    assert_eq!(others.len(), 8);
}

#[test]
fn an_emptied_document_is_written_and_an_emptied_tree_is_deleted() {
    let document = spec(Mode::Document, Format::Yaml);
    let full = plan_full(&document, &abc(), AT).unwrap();
    let empty = plan_full(&document, &[], AT).unwrap();
    assert_eq!(shown(&empty.difference(full.index.held_documents(), &|_| true)), ["+inventory/shop/daily.yaml"]);
    assert_eq!(files(&empty)[0].1, "[]\n");
    let json = plan_full(&spec(Mode::Document, Format::Json), &[], AT).unwrap();
    assert!(files(&json)[0].1.ends_with("\"itemCount\":0,\"exportedAt\":\"2026-03-02T08:15:30Z\",\"items\":[]}"));
    assert_eq!(json.bytes, Some(files(&json)[0].1.len() as u64));

    let tree = spec(Mode::PerResource, Format::Yaml);
    let full = plan_full(&tree, &abc(), AT).unwrap();
    let empty = plan_full(&tree, &[], AT).unwrap();
    let path = |name| format!("-default/shop/configmap/{name}.yaml");
    assert_eq!(shown(&empty.difference(held(&full), &|_| true)), [path("a"), path("b"), path("c")]);
    assert!(empty.difference(held(&full), &|_| false).is_empty());
}

#[test]
fn fewer_parts_delete_the_parts_that_are_gone() {
    let json = spec(Mode::Document, Format::Json);
    let parts = plan_full(&DocumentSpec { max_bytes: 700, ..json.clone() }, &abc(), AT).unwrap();
    let whole = plan_full(&DocumentSpec { max_bytes: 1000, ..json }, &abc(), AT).unwrap();
    let changes = whole.difference(parts.index.held_documents(), &|_| true);
    let part = |n| format!("-inventory/shop/daily.part-000{n}-of-0002.json");
    assert_eq!(shown(&changes), [part(1), part(2), "+inventory/shop/daily.json".to_owned()]);
    assert!(whole.difference(whole.index.held_documents(), &|_| true).is_empty());
}

#[test]
fn a_held_file_of_unknown_content_is_written_again() {
    let plan = plan_full(&spec(Mode::PerResource, Format::Yaml), &abc(), AT).unwrap();
    let mut held = held(&plan);
    held[1].digest = None;
    held.remove(0);
    let path = |name| format!("+default/shop/configmap/{name}.yaml");
    assert_eq!(shown(&plan.difference(held, &|_| true)), [path("a"), path("b")]);
}

#[test]
fn of_two_rows_with_one_path_the_later_is_left_out_by_name_and_the_others_are_written() {
    let rows = [
        config_map("cfg", "a", "u-a", "secret"),
        config_map("cfg", "b", "u-b", "v"),
        config_map("other", "a", "u-a", "secret"),
    ];
    let plan = plan_full(&spec(Mode::PerResource, Format::Yaml), &rows, AT).unwrap();
    let paths: Vec<_> = plan.files.iter().map(|file| file.path.to_string()).collect();
    assert_eq!(paths, ["default/shop/configmap/a.yaml", "default/shop/configmap/b.yaml"]);
    let [left_out] = &plan.left_out[..] else { panic!("{:?}", plan.left_out) };
    assert_eq!((&left_out.id, left_out.reason), (&rows[2].id, Reason::LayoutCollision));
    assert!(left_out.why.starts_with(
        "ConfigMap shop/a (target shop/cfg) and ConfigMap shop/a (target shop/other) both render to \
         default/shop/configmap/a.yaml: "
    ));
    assert!(!left_out.why.contains("secret"));
}

#[test]
fn a_row_that_was_left_out_gets_its_path_when_the_first_row_goes() {
    let spec = spec(Mode::PerResource, Format::Yaml);
    let (first, later) = (config_map("cfg", "a", "u-1", "1"), config_map("other", "a", "u-1", "2"));
    let mut index = plan_full(&spec, &[first.clone(), later.clone()], AT).unwrap().index;
    let changed = config_map("other", "a", "u-1", "3");
    assert!(delta(&spec, &index, &[Change::Upsert(changed)]).unwrap().changes.is_empty(), "it is still left out");
    assert!(delta(&spec, &index, &[deleted(&first)]).is_none(), "only a full plan has the later row");
    let unrelated = config_map("cfg", "b", "u-2", "1");
    assert_eq!(delta(&spec, &index, &[Change::Upsert(unrelated)]).unwrap().changes.len(), 1);
    let gone = delta(&spec, &index, &[deleted(&later)]).unwrap();
    assert_eq!((gone.changes.len(), &gone.forgotten[..]), (0, &[later.id.clone()][..]));
    index.commit(gone.update);
    assert_eq!(shown(&delta(&spec, &index, &[deleted(&first)]).unwrap().changes), ["-default/shop/configmap/a.yaml"]);
}

#[test]
fn paths_that_differ_only_in_case_are_one_path() {
    let kept = FilenameOptions { lowercase_kind: false, ..FilenameOptions::default() };
    let spec = DocumentSpec { filename: kept, ..spec(Mode::PerResource, Format::Yaml) };
    let row = config_map("cfg", "a", "u-1", "1");
    let object = ObjectKey { gvk: Arc::new(Gvk::new("x.io", "v1", "ConfigMAP")), ..row.object.clone() };
    let id = RowId { uid: Uid::parse("u-2"), ..row.id.clone() };
    let other = Arc::new(Row::new(id, object, RawValue::from_string("{}".into()).unwrap()));
    let mut rows = [row, other];
    rows.sort_by(|a, b| canonical_cmp(a, b));
    let plan = plan_full(&spec, &rows, AT).unwrap();
    assert_eq!((plan.files.len(), plan.left_out.len()), (1, 1));
}

pub(super) fn deleted(row: &Row) -> Change {
    Change::Delete(Deleted { id: row.id.clone(), object: Some(row.object.clone()), cause: Cause::Observed })
}

pub(super) fn delta(spec: &DocumentSpec, index: &PathIndex, changes: &[Change]) -> Option<DeltaPlan> {
    match plan_delta(spec, index, changes) {
        Delta::Planned(plan) => Some(plan),
        Delta::NeedsFullPlan => None,
    }
}

#[test]
fn a_delta_touches_only_its_paths_and_counts_after_the_commit() {
    let spec = spec(Mode::PerResource, Format::Yaml);
    let rows = abc();
    let mut index = plan_full(&spec, &rows, AT).unwrap().index;
    let new = config_map("cfg", "d", "u-d", "1");
    let never_seen = config_map("cfg", "e", "u-e", "1");
    let changes = [Change::Upsert(new.clone()), deleted(&rows[1]), deleted(&never_seen)];
    for _ in 0..2 {
        let plan = delta(&spec, &index, &changes).unwrap();
        assert_eq!(shown(&plan.changes), ["-default/shop/configmap/b.yaml", "+default/shop/configmap/d.yaml"]);
    }
    index.commit(delta(&spec, &index, &changes).unwrap().update);
    assert_eq!(index.len(), 3);
    assert!(delta(&spec, &index, &[deleted(&rows[1])]).unwrap().changes.is_empty());
    assert_eq!(shown(&delta(&spec, &index, &[deleted(&new)]).unwrap().changes), ["-default/shop/configmap/d.yaml"]);
}

#[test]
fn an_object_created_again_keeps_its_file() {
    let spec = spec(Mode::PerResource, Format::Yaml);
    let rows = abc();
    let mut index = plan_full(&spec, &rows, AT).unwrap().index;
    let again = config_map("cfg", "a", "u-a2", "1");
    let plan = delta(&spec, &index, &[Change::Upsert(again.clone()), deleted(&rows[0])]).unwrap();
    assert_eq!(shown(&plan.changes), ["+default/shop/configmap/a.yaml"]);
    index.commit(plan.update);
    assert_eq!(shown(&delta(&spec, &index, &[deleted(&again)]).unwrap().changes), ["-default/shop/configmap/a.yaml"]);
}

#[test]
fn what_hashes_cannot_answer_asks_for_a_full_plan() {
    let by_kind = DocumentSpec {
        row_template: PathTemplate::parse("{kind}/{sourceName}", Grammar::Row).unwrap(),
        ..spec(Mode::PerResource, Format::Yaml)
    };
    let rows = abc();
    let index = plan_full(&by_kind, &rows, AT).unwrap().index;
    let collides = config_map("other", "a", "u-z", "1");
    assert!(delta(&by_kind, &index, &[Change::Upsert(collides.clone())]).is_none());
    let twins = [config_map("x", "n", "1", "1"), config_map("y", "n", "1", "1")].map(Change::Upsert);
    assert!(delta(&by_kind, &index, &twins).is_none());
    let mut moved = ObjectKey { gvk: Arc::new(Gvk::new("", "v1", "Other")), ..rows[0].object.clone() };
    let row = Row::new(rows[0].id.clone(), moved.clone(), RawValue::from_string("{}".into()).unwrap());
    assert!(delta(&by_kind, &index, &[Change::Upsert(Arc::new(row))]).is_none());
    moved.name = "elsewhere".into();
    for object in [None, Some(moved)] {
        let gone = Change::Delete(Deleted { id: rows[0].id.clone(), object, cause: Cause::Absent });
        assert!(delta(&by_kind, &index, &[gone]).is_none());
    }
    assert!(delta(&spec(Mode::Document, Format::Json), &index, &[]).is_none());
}

#[test]
fn deltas_and_full_plans_lead_to_the_same_files() {
    let spec = spec(Mode::PerResource, Format::Json);
    let mut random = fastrand::Rng::with_seed(7);
    let mut live: BTreeMap<usize, Arc<Row>> = BTreeMap::new();
    let mut index = PathIndex::default();
    let mut held: BTreeMap<Arc<str>, Digest> = BTreeMap::new();
    for step in 0..300 {
        let mut changes = Vec::new();
        for name in 0..20 {
            match random.u8(0..4) {
                0 => {
                    // The same name with another UID: an object deleted and created again.
                    changes.extend(live.remove(&name).map(|row| deleted(&row)));
                    let row = config_map("cfg", &format!("n{name:02}"), &format!("u{name}-{step}"), "v");
                    live.insert(name, row.clone());
                    changes.push(Change::Upsert(row));
                }
                1 => changes.extend(live.remove(&name).map(|row| deleted(&row))),
                _ => {}
            }
        }
        random.shuffle(&mut changes);
        let plan = delta(&spec, &index, &changes).unwrap();
        if random.bool() {
            // Not acknowledged: the next cycle compares.
            let rows: Vec<_> = live.values().cloned().collect();
            let full = plan_full(&spec, &rows, AT).unwrap();
            let have = held.iter().map(|(path, digest)| HeldFile { path: path.clone(), digest: Some(*digest) });
            apply(&mut held.clone(), &full.difference(have.collect::<Vec<_>>(), &|_| true), &mut held);
            index = full.index;
        } else {
            index.commit(plan.update);
            apply(&mut held.clone(), &plan.changes, &mut held);
        }
        let rows: Vec<_> = live.values().cloned().collect();
        let wanted: BTreeMap<_, _> =
            plan_full(&spec, &rows, AT).unwrap().files.into_iter().map(|file| (file.path, file.digest)).collect();
        assert_eq!(held, wanted, "step {step}");
        assert_eq!(index.len(), held.len());
    }
}

fn apply(before: &mut BTreeMap<Arc<str>, Digest>, changes: &[FileChange], after: &mut BTreeMap<Arc<str>, Digest>) {
    for change in changes {
        match change {
            FileChange::Put { path, digest, .. } => {
                before.insert(path.clone(), *digest);
            }
            FileChange::Delete { path } => assert!(before.remove(path).is_some(), "deleted a path that is not there"),
        }
    }
    *after = std::mem::take(before);
}

#[test]
fn files_of_lost_parts_stay_and_others_go() {
    let spec = spec(Mode::PerResource, Format::Yaml);
    let target = Arc::new(TargetKey::namespaced("shop", "cfg"));
    let lost = RetainedPaths::new(&spec, [(&target, Some("pay"))]);
    for (path, may_delete) in [
        ("default/shop/configmap/a.yaml", true),
        ("default/pay/configmap/a.yaml", false),
        ("default/pay/deployment/a.json", false),
        ("default/clusterrole/a.yaml", true),
        ("default/payments/configmap/a.yaml", true),
        ("older-template/a.yaml", false),
    ] {
        assert_eq!(lost.may_delete(path), may_delete, "{path}");
    }
    assert!(RetainedPaths::new(&spec, []).may_delete("older-template/a.yaml"));
    let document = DocumentSpec { mode: Mode::Document, ..spec.clone() };
    assert!(
        RetainedPaths::new(&document, [(&target, Some("pay"))]).may_delete("older-template/daily.yaml"),
        "its rows are carried"
    );

    let by_target = PathTemplate::parse("{targetNamespace}/{targetName}/{group}/{uid}", Grammar::Row).unwrap();
    let spec = DocumentSpec { row_template: by_target, ..spec };
    let lost = RetainedPaths::new(&spec, [(&target, Some("pay")), (&target, Some(""))]);
    assert!(!lost.may_delete("shop/cfg/u-1"));
    assert!(lost.may_delete("shop/other/apps/u-1"));
}

#[test]
fn files_of_a_target_of_which_nothing_is_known_stay_wherever_the_template_puts_the_namespace() {
    let target = Arc::new(TargetKey::namespaced("shop", "cfg"));
    for (template, path) in [
        ("{cluster}/{sourceNamespace}/{targetName}/{sourceName}{extension}", "default/pay/cfg/a.yaml"),
        ("{cluster}/{sourceNamespace}.{kind}/{sourceName}{extension}", "default/pay.configmap/a.yaml"),
        ("{sourceNamespace}/fixed/{sourceName}{extension}", "pay/fixed/a.yaml"),
        (DEFAULT_ROW_TEMPLATE, "default/pay/configmap/a.yaml"),
        (DEFAULT_ROW_TEMPLATE, "default/clusterrole/a.yaml"),
    ] {
        let row_template = PathTemplate::parse(template, Grammar::Row).unwrap();
        let spec = DocumentSpec { row_template, ..spec(Mode::PerResource, Format::Yaml) };
        assert!(!RetainedPaths::new(&spec, [(&target, None)]).may_delete(path), "{template}: {path}");
    }
}

#[test]
fn the_record_lies_outside_every_layout() {
    let spec = DocumentSpec { cluster: "eu/west".into(), ..spec(Mode::Document, Format::Yaml) };
    assert_eq!(spec.record_path(), ".kollect/eu-west-64f1478c/shop/daily/audit");
    assert_eq!(DocumentSpec { cluster: "".into(), ..spec }.record_path(), ".kollect/default/shop/daily/audit");
}
