//! Every row of the condition model of inventories.

use super::*;
use crate::inventory::facts::BindingReport;
use kollect_export::Class;
use std::time::Duration;

fn binding(name: &str, outcome: BindingOutcome) -> BindingReport {
    BindingReport { name: name.to_owned(), outcome }
}

fn failed(class: Class, reason: Reason) -> BindingOutcome {
    BindingOutcome::Failed { class, reason, message: "boom".to_owned() }
}

const TRANSIENT: Class = Class::Transient { retry_after: None };

fn debounced() -> BindingOutcome {
    BindingOutcome::Debounced { changes: 3, due_in: Duration::from_secs(20) }
}

fn table(states: Vec<BindingOutcome>) -> Vec<String> {
    let facts = InventoryFacts {
        bindings: states.into_iter().enumerate().map(|(i, s)| binding(&format!("database/{i}"), s)).collect(),
        ..InventoryFacts::default()
    };
    conditions(&facts)
        .into_iter()
        .filter(|c| c.kind != "SinkReachable")
        .map(|c| format!("{}={}/{}", c.kind, if c.status { "True" } else { "False" }, c.reason))
        .collect()
}

#[test]
fn every_row_of_the_condition_model_holds() {
    assert_eq!(table(vec![]), ["Ready=True/NoExport", "Synced=True/NoExport"]);
    assert_eq!(
        table(vec![BindingOutcome::Waiting(String::new())]),
        ["Ready=False/Progressing", "Synced=False/Progressing"]
    );
    assert_eq!(
        table(vec![BindingOutcome::InSync, BindingOutcome::InSync]),
        ["Ready=True/Exported", "Synced=True/Exported"]
    );
    let partial = ["Ready=True/PartiallySynced", "Synced=False/PartiallySynced"];
    assert_eq!(table(vec![BindingOutcome::InSync, debounced()]), partial);
    assert_eq!(table(vec![debounced(), debounced()]), partial);
    assert_eq!(table(vec![BindingOutcome::InSync, failed(TRANSIENT, Reason::ExportFailed)]), partial);
    assert_eq!(
        table(vec![BindingOutcome::InSync, failed(Class::Terminal, Reason::SinkNotFound)]),
        ["Ready=True/PartiallySynced", "Synced=False/PartiallySynced", "Degraded=True/SinkNotFound"]
    );
    assert_eq!(
        table(vec![failed(TRANSIENT, Reason::ExportFailed), failed(Class::Terminal, Reason::ExportTerminal)]),
        ["Ready=False/Progressing", "Synced=False/Progressing", "Degraded=True/ExportTerminal"]
    );
    assert_eq!(
        table(vec![failed(TRANSIENT, Reason::ExportFailed)]),
        ["Ready=False/Progressing", "Synced=False/Progressing"]
    );
    assert_eq!(
        table(vec![failed(Class::Terminal, Reason::ExportTerminal), failed(Class::Terminal, Reason::PayloadTooLarge)]),
        ["Ready=False/PayloadTooLarge", "Synced=False/PayloadTooLarge", "Degraded=True/PayloadTooLarge"]
    );
}

#[test]
fn cluster_targets_are_part_of_the_conditions() {
    let table = |rollup: Rollup, states: Vec<BindingOutcome>| -> Vec<String> {
        let bindings = states.into_iter().map(|s| binding("database/a", s)).collect();
        let facts = InventoryFacts { bindings, rollup: Some(rollup), ..InventoryFacts::default() };
        let all = conditions(&facts).into_iter().filter(|c| c.kind != "SinkReachable");
        all.map(|c| format!("{}={}/{}", c.kind, if c.status { "True" } else { "False" }, c.reason)).collect()
    };
    let two = Rollup { targets: 2, ..Rollup::default() };
    let exported = ["Ready=True/Exported", "Synced=True/Exported"];
    assert_eq!(
        table(two.clone(), vec![BindingOutcome::InSync]),
        [exported[0], exported[1], "ExportSucceeded=True/Exported"]
    );
    let degraded = Rollup { degraded: vec!["pods".into()], ..two };
    assert_eq!(
        table(degraded.clone(), vec![BindingOutcome::InSync]),
        [exported[0], exported[1], "Degraded=True/TargetDegraded", "ExportSucceeded=True/Exported"]
    );
    assert_eq!(
        table(degraded, vec![BindingOutcome::InSync, failed(Class::Terminal, Reason::SinkNotFound)])[2],
        "Degraded=True/SinkNotFound"
    );
    let none = Rollup { missing: vec!["typo".into()], ..Rollup::default() };
    assert_eq!(
        table(none.clone(), vec![BindingOutcome::InSync]),
        ["Ready=False/NoTargets", "Synced=False/NoTargets", "Degraded=True/NoTargets"]
    );
    let young = Rollup { settling: Some(Duration::from_secs(1)), ..none };
    assert_eq!(table(young, vec![BindingOutcome::InSync]), ["Ready=False/Progressing", "Synced=False/Progressing"]);
}

#[test]
fn a_row_that_a_tree_leaves_out_degrades_and_does_not_end_readiness() {
    let facts = InventoryFacts {
        bindings: vec![binding("snapshot/git", BindingOutcome::InSync)],
        left_out: vec![(Reason::LayoutCollision, "snapshot/git: a and b both render to x".to_owned()); 3],
        ..InventoryFacts::default()
    };
    let all = conditions(&facts);
    let status = |kind: &str| all.iter().find(|c| c.kind == kind).map(|c| (c.status, c.reason));
    assert_eq!(status("Ready"), Some((true, Reason::Exported)));
    assert_eq!(status("Degraded"), Some((true, Reason::LayoutCollision)));
    let message = &all.iter().find(|c| c.kind == "Degraded").unwrap().message;
    assert!(message.ends_with("a and b both render to x; and 2 more"), "{message}");
}

#[test]
fn suspension_shows_no_degradation_even_with_broken_sinks() {
    let facts = InventoryFacts {
        suspended: true,
        bindings: vec![binding("database/a", failed(Class::Terminal, Reason::SinkNotFound))],
        ..InventoryFacts::default()
    };
    assert!(conditions(&facts).iter().all(|c| c.kind != "Degraded"));
}

#[test]
fn a_missing_sink_is_named_by_reachability() {
    let facts = InventoryFacts {
        bindings: vec![binding("snapshot/git", failed(Class::Terminal, Reason::SinkNotFound))],
        ..InventoryFacts::default()
    };
    let reachable = conditions(&facts).into_iter().find(|c| c.kind == "SinkReachable").unwrap();
    assert_eq!((reachable.status, reachable.reason), (false, Reason::SinkNotFound));
    assert!(reachable.message.contains("snapshot/git"));
}
