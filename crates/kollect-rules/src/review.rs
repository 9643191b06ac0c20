//! Reviews an object of any kind: which other objects the review needs, and its violations and warnings.
//!
//! The admission webhook, `kollect validate` and the control loops call it. The object is JSON, because unknown members
//! are violations too.

use crate::findings::Findings;
use crate::names::{is_dns_label, is_dns_subdomain};
use crate::review_facts::{ReviewFacts, RuleSettings};
use crate::schema::Misfit;
use crate::shape::shape_warnings;
use crate::violation::{Violation, Warning};
use crate::{cluster_inventory, cluster_target, connection_test, inventory, profile, schema, scope, sink, target};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kollect_api::{
    KollectClusterInventory, KollectClusterScope, KollectClusterTarget, KollectConnectionTest, KollectInventory,
    KollectProfile, KollectScope, KollectTarget, SinkFamily,
};
use kollect_model::Gvk;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The other objects that a review needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The profile that the object refers to, as namespace and name.
    pub profile: Option<(String, String)>,
    /// The namespace whose KollectScopes limit the object.
    pub scope_of: Option<String>,
    /// Whether the KollectClusterScopes limit the object.
    pub cluster_scope: bool,
    /// The kind whose schema the object's paths are checked against. Optional.
    pub schema_of: Option<Gvk>,
}

/// The outcome of a review. Refused when there are violations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// Broken rules, in the order of the fields.
    pub violations: Vec<Violation>,
    /// Advice; only meaningful when there are no violations.
    pub warnings: Vec<Warning>,
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The Kollect kind of an object.
fn kind_of(object: &Value) -> Option<&str> {
    let ours = text(object, "apiVersion") == format!("{}/{}", kollect_api::GROUP, kollect_api::VERSION);
    object["kind"].as_str().filter(|kind| ours && schema::spec_of(kind).is_some())
}

/// Whether an inventory sets an interval that a scope's floor may exceed.
fn has_interval(spec: &Value) -> bool {
    let refs = SinkFamily::ALL.into_iter().filter_map(|family| spec[family.refs_field()].as_array()).flatten();
    refs.chain([spec]).any(|holder| holder["exportMinInterval"].is_string())
}

/// The other objects that a review of `object` needs. None for kinds that are not Kollect's.
pub fn needs(object: &Value) -> Needs {
    let spec = &object["spec"];
    let namespace = match text(&object["metadata"], "namespace") {
        "" => "default",
        namespace => namespace,
    };
    let in_namespace = || Some(namespace.to_owned());
    let interval = spec["exportMinInterval"].is_string();
    match kind_of(object) {
        Some("KollectProfile") => {
            let gvk = &spec["targetGVK"];
            let gvk = Gvk::new(text(gvk, "group"), text(gvk, "version"), text(gvk, "kind"));
            Needs { schema_of: (!gvk.version.is_empty() && !gvk.kind.is_empty()).then_some(gvk), ..Needs::default() }
        }
        Some("KollectTarget") => {
            let name = text(spec, "profileRef");
            let usable = !name.trim().is_empty() && !name.contains('/');
            let profile = usable.then(|| (namespace.to_owned(), name.to_owned()));
            Needs { profile, scope_of: in_namespace(), ..Needs::default() }
        }
        Some("KollectInventory") => {
            Needs { scope_of: has_interval(spec).then(in_namespace).flatten(), ..Needs::default() }
        }
        Some("KollectSnapshotSink" | "KollectDatabaseSink" | "KollectEventSink") => {
            Needs { scope_of: interval.then(in_namespace).flatten(), ..Needs::default() }
        }
        Some("KollectClusterTarget") => {
            let (name, of) = (text(&spec["profileRef"], "name"), text(&spec["profileRef"], "namespace"));
            let usable = is_dns_subdomain(name) && is_dns_label(of);
            let profile = usable.then(|| (of.to_owned(), name.to_owned()));
            Needs { profile, cluster_scope: true, ..Needs::default() }
        }
        Some("KollectClusterInventory") => {
            let of = spec["sinkNamespace"].as_str().unwrap_or("kollect-system");
            let scope_of = (has_interval(spec) && is_dns_label(of)).then(|| of.to_owned());
            Needs { scope_of, cluster_scope: true, ..Needs::default() }
        }
        _ => Needs::default(),
    }
}

/// Reviews one object of any Kollect kind; `None` when `kind` and `apiVersion` name no Kollect kind.
pub fn review(object: &Value, settings: &RuleSettings, facts: &ReviewFacts<'_>) -> Option<Review> {
    let kind = kind_of(object)?;
    let node = schema::spec_of(kind)?;
    let mut misfits = Vec::new();
    let readable = schema::check(object, node, &mut misfits);
    for misfit in &mut misfits {
        if let Some(id) = named(kind, &misfit.violation.field) {
            misfit.violation.rule = id;
        }
    }
    let type_is_known = !misfits.iter().any(|misfit| !misfit.soft && misfit.violation.field == "spec.type");
    let mut found = Findings::default();
    if readable && type_is_known {
        // Members that cannot be decoded are removed, so that the rules check the rest.
        let spec = schema::repaired(node, &object["spec"]);
        if let Err(error) = check_kind(&mut found, kind, object, spec, settings, facts) {
            found.text(&schema::SCHEMA, "spec", "", error.to_string());
        }
    }
    Some(Review { violations: merged(&misfits, found.violations), warnings: found.warnings })
}

/// The rule under which a misfit of a schema field is reported.
fn named(kind: &str, field: &str) -> Option<&'static str> {
    let sink = kind.ends_with("Sink");
    Some(match field {
        "spec.watchMode" if kind == "KollectTarget" => "T5",
        "spec.dedupe" if kind == "KollectClusterInventory" => "CI9",
        "spec.type" if sink => "K1",
        "spec.serialization.format" | "spec.serialization.compression" | "spec.provisioning.mode" if sink => "K4",
        _ => return None,
    })
}

/// Both kinds of findings without duplicates: where a value can be decoded those of the rules, else those of the schema.
fn merged(misfits: &[Misfit], checked: Vec<Violation>) -> Vec<Violation> {
    let hard: Vec<&str> = misfits.iter().filter(|m| !m.soft).map(|m| m.violation.field.as_str()).collect();
    let within = |field: &str, of: &str| {
        field.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let checked: Vec<Violation> =
        checked.into_iter().filter(|v| !hard.iter().any(|of| !of.is_empty() && within(&v.field, of))).collect();
    let mut all: Vec<Violation> = misfits
        .iter()
        .filter(|m| !m.soft || !checked.iter().any(|v| v.field == m.violation.field))
        .map(|m| m.violation.clone())
        .collect();
    all.extend(checked);
    all
}

fn typed<K, S: DeserializeOwned>(
    object: &Value,
    spec: Value,
    make: impl FnOnce(&str, S) -> K,
    metadata: impl FnOnce(&mut K) -> &mut ObjectMeta,
) -> Result<K, serde_json::Error> {
    let spec = serde_json::from_value(spec)?;
    let of = &object["metadata"];
    let texts = |key: &str| {
        let members = of[key].as_object().into_iter().flatten();
        members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    let mut object = make(text(of, "name"), spec);
    let meta = metadata(&mut object);
    meta.namespace = of["namespace"].as_str().map(str::to_owned);
    meta.annotations = Some(texts("annotations"));
    Ok(object)
}

fn check_kind(
    found: &mut Findings,
    kind: &str,
    object: &Value,
    spec: Value,
    settings: &RuleSettings,
    facts: &ReviewFacts<'_>,
) -> Result<(), serde_json::Error> {
    match kind {
        "KollectProfile" => {
            let profile = typed(object, spec, KollectProfile::new, |o| &mut o.metadata)?;
            profile::check_fields(found, &profile);
            if let Some(schema) = facts.schema {
                found.warnings.extend(shape_warnings(&profile, schema));
            }
        }
        "KollectTarget" => {
            let target = typed(object, spec, KollectTarget::new, |o| &mut o.metadata)?;
            target::review(found, &target, settings, facts);
        }
        "KollectInventory" => {
            let inventory = typed(object, spec, KollectInventory::new, |o| &mut o.metadata)?;
            inventory::review(found, &inventory, object, settings.max_export_bytes, facts);
        }
        "KollectScope" => scope::check_fields(found, &typed(object, spec, KollectScope::new, |o| &mut o.metadata)?),
        "KollectClusterScope" => {
            scope::check_cluster_scope(found, &typed(object, spec, KollectClusterScope::new, |o| &mut o.metadata)?);
        }
        "KollectClusterTarget" => {
            let target = typed(object, spec, KollectClusterTarget::new, |o| &mut o.metadata)?;
            cluster_target::review(found, &target, settings, facts);
        }
        "KollectClusterInventory" => {
            let inventory = typed(object, spec, KollectClusterInventory::new, |o| &mut o.metadata)?;
            cluster_inventory::review(found, &inventory, object, settings, facts);
        }
        "KollectConnectionTest" => {
            connection_test::check_fields(
                found,
                &typed(object, spec, KollectConnectionTest::new, |o| &mut o.metadata)?,
            );
        }
        "KollectSnapshotSink" => sink::review_snapshot(found, &serde_json::from_value(spec)?, settings, facts),
        "KollectDatabaseSink" => sink::review_database(found, &serde_json::from_value(spec)?, facts),
        "KollectEventSink" => sink::review_event(found, &serde_json::from_value(spec)?, settings, facts),
        _ => {}
    }
    Ok(())
}
