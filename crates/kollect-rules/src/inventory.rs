//! The rules of KollectInventory.

use crate::ceiling::Ceiling;
use crate::findings::Findings;
use crate::interval::MAX_INTERVAL;
use crate::review_facts::ReviewFacts;
use crate::rule::rules;
use crate::sink_refs::{RefIds, check_bytes, check_counts, check_floor, check_keys, check_refs};
use crate::violation::Violation;
use kollect_api::{KollectInventory, SinkFamily};
use serde_json::Value;

/// Cluster inventories use this name instead of a namespace in keys and paths.
const CLUSTER: &str = "cluster";

rules! { "KollectInventory";
    I1, CrdAndWebhook, "one of the three lists of sinks, or all together, has more than 20 entries", "Too many: must have at most 20 items in all three lists together";
    I2, CrdAndWebhook, "the name of a sink is blank, contains `/`, or is in its list twice; a reference has an unknown key, or is neither a name nor an object", "must be the name of a sink of the same namespace";
    I3, CrdAndWebhook, "a reference names a namespace", "must not be set; an inventory exports to sinks of its own namespace";
    I4, CrdAndWebhook, "an interval is no duration between 0s and 24h", "is not a duration; write a number with a unit, such as 30s";
    I5, CrdAndWebhook, "maxExportBytes is not between 1 and the operator's --max-export-bytes", "must be greater than or equal to 1, and at most the operator's --max-export-bytes";
    I6, Webhook, "the namespace's KollectScope sets a minExportInterval, and an interval that is written down is shorter", "is shorter than the scope permits";
    I7, Webhook, "the inventory is in the namespace `cluster`", "is the name under which cluster inventories are exported; use another namespace";
    I8, Webhook, "targetSelector is not valid", "is not a valid label selector";
    I9, CrdAndWebhook, "an entry of targetRefs is empty or repeated", "must not be empty or blank, nor listed twice";
    I10, Crd, "httpEndpoint.port is not between 1 and 65535", "must be between 1 and 65535";
    IW1, Warning, "httpEndpoint is set", "httpEndpoint has no effect on this inventory; the operator's flags --inventory-http-enabled and --inventory-http-port govern the read API";
}

/// Checks an inventory. `max_export_bytes` is the operator's ceiling.
pub fn check_inventory(inventory: &KollectInventory, max_export_bytes: i64) -> Vec<Violation> {
    let mut found = Findings::default();
    check_fields(&mut found, inventory, max_export_bytes);
    found.violations
}

static IDS: RefIds = RefIds { count: &I1, name: &I2, interval: &I4, bytes: &I5, keys: &I2 };

fn check_fields(found: &mut Findings, inventory: &KollectInventory, max_export_bytes: i64) {
    let spec = &inventory.spec;
    if inventory.metadata.namespace.as_deref() == Some(CLUSTER) {
        found.add(&I7, "metadata.namespace", CLUSTER);
    }
    let lists = SinkFamily::ALL.map(|family| (family, spec.sink_refs(family)));
    if check_counts(found, &IDS, &lists) {
        for (family, refs) in &lists {
            check_refs(found, &IDS, *family, refs, max_export_bytes);
            for (i, reference) in refs.iter().enumerate() {
                if let Some(namespace) = reference.namespace.as_deref().filter(|text| !text.trim().is_empty()) {
                    found.add(&I3, format!("spec.{}[{i}].namespace", family.refs_field()), namespace);
                }
            }
        }
    }
    found.distinct(&I9, "spec.targetRefs", &spec.target_refs);
    found.selector(&I8, "spec.targetSelector", spec.target_selector.as_ref());
    found.interval(&I4, "spec.exportMinInterval", spec.export_min_interval.as_ref(), MAX_INTERVAL);
    check_bytes(found, &I5, "spec.maxExportBytes", spec.max_export_bytes, max_export_bytes);
    if let Some(http) = &spec.http_endpoint {
        if let Some(port) = http.port.filter(|port| !(1..=65_535).contains(port)) {
            found.add(&I10, "spec.httpEndpoint.port", &port.to_string());
        }
        found.warn(&IW1, "spec.httpEndpoint");
    }
}

/// Checks an inventory and the limits that its scopes set.
pub(crate) fn review(
    found: &mut Findings,
    inventory: &KollectInventory,
    raw: &Value,
    max: i64,
    facts: &ReviewFacts<'_>,
) {
    check_keys(found, &IDS, raw);
    check_fields(found, inventory, max);
    let ceiling = Ceiling::of_namespace(facts.scopes);
    let spec = &inventory.spec;
    let lists = SinkFamily::ALL.map(|family| (family, spec.sink_refs(family)));
    check_floor(found, &I6, &ceiling, spec.export_min_interval.as_ref(), &lists);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(namespace: &str, spec: Value) -> Vec<String> {
        let mut inventory = KollectInventory::new("i", serde_json::from_value(spec).unwrap());
        inventory.metadata.namespace = Some(namespace.to_owned());
        check_inventory(&inventory, 1_572_864).into_iter().map(|v| v.field).collect()
    }

    #[test]
    fn a_sound_inventory_passes() {
        let spec = json!({
            "snapshotSinkRefs": ["a", {"name": "b", "exportMinInterval": "0s", "maxExportBytes": 1}],
            "databaseSinkRefs": ["a"], "exportMinInterval": "24h", "maxExportBytes": 1_572_864,
            "targetRefs": ["x"], "targetSelector": {"matchLabels": {"a": "b"}}
        });
        assert_eq!(fields("shop", spec), [""; 0]);
        assert_eq!(fields("shop", json!({})), [""; 0]);
    }

    #[test]
    fn each_broken_rule_is_named_with_its_field() {
        let twenty_one: Vec<String> = (0..21).map(|i| format!("s{i}")).collect();
        for (namespace, spec, expected) in [
            ("cluster", json!({}), vec!["metadata.namespace"]),
            ("shop", json!({"snapshotSinkRefs": &twenty_one[..11], "eventSinkRefs": &twenty_one[11..]}), vec!["spec"]),
            ("shop", json!({"snapshotSinkRefs": &twenty_one[..20]}), vec![]),
            ("shop", json!({"eventSinkRefs": ["a", "b", "a"]}), vec!["spec.eventSinkRefs[2].name"]),
            (
                "shop",
                json!({"snapshotSinkRefs": ["", "x/y", 5]}),
                vec!["spec.snapshotSinkRefs[0].name", "spec.snapshotSinkRefs[1].name", "spec.snapshotSinkRefs[2].name"],
            ),
            (
                "shop",
                json!({"databaseSinkRefs": [{"name": "a", "namespace": "b"}]}),
                vec!["spec.databaseSinkRefs[0].namespace"],
            ),
            ("shop", json!({"exportMinInterval": "-1s"}), vec!["spec.exportMinInterval"]),
            ("shop", json!({"exportMinInterval": "24h1s"}), vec!["spec.exportMinInterval"]),
            (
                "shop",
                json!({"snapshotSinkRefs": [{"name": "a", "exportMinInterval": "x"}]}),
                vec!["spec.snapshotSinkRefs[0].exportMinInterval"],
            ),
            ("shop", json!({"maxExportBytes": 0}), vec!["spec.maxExportBytes"]),
            ("shop", json!({"maxExportBytes": 1_572_865}), vec!["spec.maxExportBytes"]),
            ("shop", json!({"targetRefs": ["a", "a"]}), vec!["spec.targetRefs[1]"]),
        ] {
            assert_eq!(fields(namespace, spec.clone()), expected, "{spec}");
        }
    }
}
