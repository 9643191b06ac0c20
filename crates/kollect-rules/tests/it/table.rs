//! The reference page of the rules.

use crate::case::all;
use kollect_rules::{Layer, rule_table};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

fn page() -> String {
    let mut text = String::from(
        "# Rules\n\nThe rules that Kollect objects must meet. The CRDs enforce the rules of layer *CRD* on every API server; the \
         admission webhook and `kollect validate` find all of them. A *warning* does not refuse the object.\n\n\
         | Rule | Kinds | Layer | When | Message |\n| --- | --- | --- | --- | --- |\n",
    );
    for rule in rule_table() {
        let cell = |text: &str| text.replace('|', "\\|");
        let (kind, layer) = (cell(rule.kind), rule.layer.as_str());
        let (when, message) = (cell(rule.refused_when), cell(rule.message));
        writeln!(text, "| {} | {kind} | {layer} | {when} | {message} |", rule.id).unwrap();
    }
    text
}

#[test]
fn the_committed_page_lists_the_rules() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rules.md");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let page = page();
    let differs = page.lines().zip(committed.lines()).find(|(is, was)| is != was);
    assert!(committed == page, "run with UPDATE_SNAPSHOTS=1 and commit docs/reference/rules.md; first: {differs:?}");
}

#[test]
fn identifiers_are_unique() {
    let ids: BTreeSet<_> = rule_table().iter().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), rule_table().len());
}

#[test]
fn cases_name_rules_that_exist() {
    let ids: BTreeSet<_> = rule_table().iter().map(|rule| rule.id).collect();
    for case in all() {
        let unknown: Vec<_> = case.rules().into_iter().filter(|rule| !ids.contains(rule)).collect();
        assert!(unknown.is_empty() && !case.rules().is_empty(), "{}: {unknown:?}", case.name);
    }
}

/// Rules without a case: they need the schema of the kind, or only the operator checks them.
const NOT_IN_CASES: [&str; 3] = ["PW4", "PW6", "K19"];

#[test]
fn every_rule_has_a_case_that_keeps_it_and_one_that_does_not() {
    let mut kept: BTreeMap<&str, usize> = BTreeMap::new();
    let mut broken: BTreeMap<&str, usize> = BTreeMap::new();
    let cases = all();
    let reviewed: Vec<_> = cases.iter().map(|case| (case, case.review())).collect();
    for rule in rule_table().iter().filter(|rule| !NOT_IN_CASES.contains(&rule.id)) {
        for (case, review) in &reviewed {
            let same_kind = rule.kind == "all" || rule.kind.split(", ").any(|kind| case.object()["kind"] == *kind);
            let found = if rule.layer == Layer::Warning {
                review.violations.is_empty() && review.warnings.iter().any(|w| w.rule == rule.id)
            } else {
                let named = case.rules().contains(&rule.id) || rule.id == "schema";
                let by_it = review.violations.iter().any(|v| v.rule == rule.id || v.rule == "schema");
                case.is_refused() && named && by_it
            };
            let about = case.rules().contains(&rule.id) || rule.id == "schema" || rule.layer == Layer::Warning;
            if found {
                *broken.entry(rule.id).or_default() += 1;
            } else if !case.is_refused() && same_kind && about {
                *kept.entry(rule.id).or_default() += 1;
            }
        }
    }
    let lacking = |counts: &BTreeMap<&str, usize>| -> Vec<&str> {
        let ids = rule_table().into_iter().map(|rule| rule.id);
        ids.filter(|id| !NOT_IN_CASES.contains(id) && !counts.contains_key(id)).collect()
    };
    assert_eq!((lacking(&kept), lacking(&broken)), (vec![], vec![]), "(no case keeps, no case breaks)");
}
