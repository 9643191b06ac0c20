//! One entry for all kinds: which facts a review of an object needs, and what is wrong with the object.
//!
//! Separate so that the admission webhook, `kollect validate` and the control loops ask the same question. The object
//! comes as JSON, because what it must be told includes members that its type does not know.

use crate::SecretExtractionPolicy;
use crate::names::{is_dns_label, is_dns_subdomain};
use crate::schema::Misfit;
use crate::shape::shape_warnings;
use crate::violation::Findings;
use crate::{
    Violation, cluster_inventory, cluster_target, connection_test, inventory, profile, schema, scope, sink, target,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kollect_api::{
    KollectClusterInventory, KollectClusterScope, KollectClusterTarget, KollectConnectionTest, KollectInventory,
    KollectProfile, KollectScope, KollectTarget, SinkFamily,
};
use kollect_model::{Cidr, Gvk};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

/// What the operator was told that bears on rules.
#[derive(Clone, Debug)]
pub struct RuleSettings {
    /// Largest document in bytes; the upper bound of every `maxExportBytes`.
    pub max_export_bytes: i64,
    /// Where data of Secrets may be collected.
    pub secret_extraction: SecretExtractionPolicy,
    /// Cluster-scoped Kollect kinds are refused.
    pub tenant_mode: bool,
    /// Sinks at private addresses are allowed.
    pub allow_private_sinks: bool,
    /// Sinks at loopback addresses are allowed.
    pub allow_loopback_sinks: bool,
    /// Ranges of addresses where no sink may be, whatever else is allowed.
    pub denied_sink_cidrs: Arc<[Cidr]>,
}

impl Default for RuleSettings {
    fn default() -> Self {
        Self {
            max_export_bytes: 1_572_864,
            secret_extraction: SecretExtractionPolicy::default(),
            tenant_mode: false,
            allow_private_sinks: false,
            allow_loopback_sinks: false,
            denied_sink_cidrs: Arc::default(),
        }
    }
}

/// Other objects that a review looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The profile that the object refers to, as namespace and name.
    pub profile: Option<(String, String)>,
    /// The namespace whose KollectScopes limit the object.
    pub scope_of: Option<String>,
    /// Whether the KollectClusterScopes limit the object.
    pub cluster_scope: bool,
    /// The kind whose shape the object's paths go through. Good to know, not necessary.
    pub schema_of: Option<Gvk>,
}

/// The objects that [`needs`] asked for, as far as they exist.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The referenced profile.
    pub profile: Option<&'a KollectProfile>,
    /// All scopes of the namespace.
    pub scopes: &'a [KollectScope],
    /// All cluster scopes.
    pub cluster_scopes: &'a [KollectClusterScope],
    /// The schema of the kind that a profile is about, as [`kind_schema`](crate::kind_schema) gives it.
    pub schema: Option<&'a Value>,
}

/// Something that works but deserves a look.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Warning {
    /// Identifier of the rule, as in the reference documentation.
    pub rule: &'static str,
    /// Path of the field.
    pub field: String,
    /// What to know and what to do.
    pub message: String,
}

/// The outcome of a review. Refused when there are violations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// What breaks a rule, in the order of the fields.
    pub violations: Vec<Violation>,
    /// What deserves a look; only meaningful when nothing is violated.
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

/// Whether an inventory writes down an interval that a floor could be above.
fn has_interval(spec: &Value) -> bool {
    let refs = SinkFamily::ALL.into_iter().filter_map(|family| spec[family.refs_field()].as_array()).flatten();
    refs.chain([spec]).any(|holder| holder["exportMinInterval"].is_string())
}

/// Which other objects a review of `object` looks at. Nothing for kinds that are not Kollect's.
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
pub fn review(object: &Value, settings: &RuleSettings, facts: &Facts<'_>) -> Option<Review> {
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
        // What cannot be decoded goes, so that the rest is judged all the same.
        let spec = schema::repaired(node, &object["spec"]);
        if let Err(error) = judge(&mut found, kind, object, spec, settings, facts) {
            found.text(&schema::SCHEMA, "spec", "", error.to_string());
        }
    }
    Some(Review { violations: merged(&misfits, found.violations), warnings: found.warnings })
}

/// The rule that a field of the schema stands for.
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

/// Both kinds of findings without saying anything twice: where a value can be judged the rules speak, else the schema.
fn merged(misfits: &[Misfit], judged: Vec<Violation>) -> Vec<Violation> {
    let hard: Vec<&str> = misfits.iter().filter(|m| !m.soft).map(|m| m.violation.field.as_str()).collect();
    let within = |field: &str, of: &str| {
        field.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let judged: Vec<Violation> =
        judged.into_iter().filter(|v| !hard.iter().any(|of| !of.is_empty() && within(&v.field, of))).collect();
    let mut all: Vec<Violation> = misfits
        .iter()
        .filter(|m| !m.soft || !judged.iter().any(|v| v.field == m.violation.field))
        .map(|m| m.violation.clone())
        .collect();
    all.extend(judged);
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

fn judge(
    found: &mut Findings,
    kind: &str,
    object: &Value,
    spec: Value,
    settings: &RuleSettings,
    facts: &Facts<'_>,
) -> Result<(), serde_json::Error> {
    match kind {
        "KollectProfile" => {
            let profile = typed(object, spec, KollectProfile::new, |o| &mut o.metadata)?;
            profile::judge(found, &profile);
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
        "KollectScope" => scope::judge(found, &typed(object, spec, KollectScope::new, |o| &mut o.metadata)?),
        "KollectClusterScope" => {
            scope::judge_cluster(found, &typed(object, spec, KollectClusterScope::new, |o| &mut o.metadata)?);
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
            connection_test::judge(found, &typed(object, spec, KollectConnectionTest::new, |o| &mut o.metadata)?);
        }
        "KollectSnapshotSink" => sink::review_snapshot(found, &serde_json::from_value(spec)?, settings, facts),
        "KollectDatabaseSink" => sink::review_database(found, &serde_json::from_value(spec)?, facts),
        "KollectEventSink" => sink::review_event(found, &serde_json::from_value(spec)?, settings, facts),
        _ => {}
    }
    Ok(())
}
