//! What a KollectInventory may say, and how often it exports.

use crate::Selector;
use crate::violation::{Findings, Violation};
use kollect_api::{GoDuration, KollectInventory, SinkFamily, SinkRef};
use std::collections::BTreeSet;
use std::time::Duration;

/// Most sinks that one inventory exports to.
pub const MAX_SINK_REFS: usize = 20;
/// Longest export interval.
pub const MAX_INTERVAL: Duration = Duration::from_hours(24);
/// Cluster inventories use this name instead of a namespace in keys and paths.
const CLUSTER: &str = "cluster";

/// Least time between two exports when nothing is set: 30 s for documents, 1 s for rows and events.
pub const fn default_interval(family: SinkFamily) -> Duration {
    match family {
        SinkFamily::Snapshot => Duration::from_secs(30),
        SinkFamily::Database | SinkFamily::Event => Duration::from_secs(1),
    }
}

/// Least time between two exports of one binding: the reference's value, else the sink's, the inventory's, the
/// default; raised to the floor of the scope. A value that is no duration counts as not set.
pub fn effective_interval(
    family: SinkFamily,
    reference: Option<&GoDuration>,
    sink: Option<&GoDuration>,
    inventory: Option<&GoDuration>,
    floor: Option<&GoDuration>,
) -> Duration {
    let value = |text: Option<&GoDuration>| text.and_then(|text| text.to_duration().ok());
    let wanted = value(reference).or_else(|| value(sink)).or_else(|| value(inventory));
    wanted.unwrap_or_else(|| default_interval(family)).max(value(floor).unwrap_or_default()).min(MAX_INTERVAL)
}

/// Checks an inventory. `max_export_bytes` is the operator's ceiling.
pub fn check_inventory(inventory: &KollectInventory, max_export_bytes: i64) -> Vec<Violation> {
    let spec = &inventory.spec;
    let mut found = Findings::default();
    if inventory.metadata.namespace.as_deref() == Some(CLUSTER) {
        let why = "is the name under which cluster inventories are exported; use another namespace";
        found.add("metadata.namespace", CLUSTER, why);
    }
    let refs: usize = SinkFamily::ALL.iter().map(|family| spec.sink_refs(*family).len()).sum();
    if refs > MAX_SINK_REFS {
        let why = format!("names {refs} sinks; at most {MAX_SINK_REFS} in all three lists together");
        found.add("spec", "", why);
    } else {
        for family in SinkFamily::ALL {
            check_refs(&mut found, family, spec.sink_refs(family), max_export_bytes);
        }
    }
    found.distinct("spec.targetRefs", &spec.target_refs);
    if let Some(Err(why)) = spec.target_selector.as_ref().map(Selector::check) {
        found.add("spec.targetSelector", "", why);
    }
    found.interval("spec.exportMinInterval", spec.export_min_interval.as_ref(), MAX_INTERVAL);
    check_bytes(&mut found, "spec.maxExportBytes", spec.max_export_bytes, max_export_bytes);
    found.0
}

fn check_refs(found: &mut Findings, family: SinkFamily, refs: &[SinkRef], max_export_bytes: i64) {
    let mut seen = BTreeSet::new();
    for (i, reference) in refs.iter().enumerate() {
        let at = format!("spec.{}[{i}]", family.refs_field());
        if found.name(&format!("{at}.name"), &reference.name) && !seen.insert(&reference.name) {
            found.add(format!("{at}.name"), &reference.name, "is listed twice");
        }
        if let Some(namespace) = reference.namespace.as_deref().filter(|namespace| !namespace.trim().is_empty()) {
            let why = "must not be set; the sink is in the inventory's namespace";
            found.add(format!("{at}.namespace"), namespace, why);
        }
        found.interval(&format!("{at}.exportMinInterval"), reference.export_min_interval.as_ref(), MAX_INTERVAL);
        check_bytes(found, &format!("{at}.maxExportBytes"), reference.max_export_bytes, max_export_bytes);
    }
}

fn check_bytes(found: &mut Findings, field: &str, bytes: Option<i64>, max: i64) {
    let Some(bytes) = bytes else { return };
    if !(1..=max).contains(&bytes) {
        let why = format!("must be between 1 and {max}, the operator's --max-export-bytes");
        found.add(field, &bytes.to_string(), why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SinkFamily::{Database, Event, Snapshot};
    use serde_json::{Value, json};

    #[test]
    fn the_nearest_interval_wins_and_the_scope_is_a_floor() {
        let text = |text: &str| (!text.is_empty()).then(|| GoDuration::new(text));
        for (family, reference, sink, inventory, floor, seconds) in [
            (Snapshot, "", "", "", "", 30),
            (Database, "", "", "", "", 1),
            (Event, "", "", "", "", 1),
            (Snapshot, "", "", "2m", "", 120),
            (Snapshot, "", "5m", "2m", "", 300),
            (Snapshot, "10s", "5m", "2m", "", 10),
            (Snapshot, "10s", "", "", "1m", 60),
            (Snapshot, "0", "", "", "", 0),
            (Snapshot, "0s", "", "", "1m", 60),
            (Database, "", "", "", "10s", 10),
            (Database, "", "soon", "2m", "", 120),
            (Database, "", "", "", "nonsense", 1),
        ] {
            let got = effective_interval(
                family,
                text(reference).as_ref(),
                text(sink).as_ref(),
                text(inventory).as_ref(),
                text(floor).as_ref(),
            );
            assert_eq!(got, Duration::from_secs(seconds), "{family} {reference} {sink} {inventory} {floor}");
        }
    }

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
