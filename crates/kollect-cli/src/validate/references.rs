//! Checks references from one object to others (profiles, sinks, targets), and finds objects that exist twice.
//!
//! An object that is missing here may be in a cluster, so the caller decides whether that is an error.

use super::finding::{Mark, ValidateFinding};
use crate::documents::{ObjectSet, SetObject};
use kollect_api::SinkFamily;
use serde_json::Value;
use std::collections::HashMap;

/// The outcome of the check.
#[derive(Debug, Default)]
pub(super) struct References<'a> {
    pub(super) findings: Vec<ValidateFinding>,
    /// Objects that are named and not in the set.
    pub(super) missing: Vec<Missing<'a>>,
}

/// An object that another one names, and that is not in the set.
#[derive(Debug)]
pub(super) struct Missing<'a> {
    from: SetObject<'a>,
    field: String,
    pub(super) kind: &'static str,
    /// Empty for cluster kinds, and when it is chosen only when the object is applied.
    pub(super) namespace: String,
    pub(super) name: String,
    /// Namespaces of the set that have an object of that name.
    elsewhere: Vec<String>,
}

impl Missing<'_> {
    /// The finding; `place` names where the object was searched.
    pub(super) fn finding(&self, set: &ObjectSet, place: &str) -> ValidateFinding {
        let Self { kind, name, namespace, .. } = self;
        let holder = if namespace.is_empty() { String::new() } else { format!(" of namespace {namespace}") };
        let remedy = match self.elsewhere.as_slice() {
            [] if place == "these files" => {
                "add it, fix the name, or use --partial when it is elsewhere already".to_owned()
            }
            [] => "create it or fix the name".to_owned(),
            found => format!("there is one in namespace {}, which does not count", found.join(", ")),
        };
        ValidateFinding::about(set, &self.from, "reference", &self.field, Mark::Value)
            .with_message(format!("no {kind} {name}{holder} is in {place}; {remedy}"))
    }
}

/// Checks all objects.
pub(super) fn check(set: &ObjectSet) -> References<'_> {
    let mut found = References::default();
    for object in set.objects().filter(SetObject::is_kollect) {
        let namespace = object.namespace();
        match object.kind() {
            "KollectTarget" => {
                found.name(set, object, "spec.profileRef", "KollectProfile", namespace);
            }
            "KollectClusterTarget" => {
                found.reference(set, object, "spec.profileRef", "KollectProfile", namespace);
            }
            "KollectInventory" => {
                found.sinks(set, object, namespace);
                found.targets(set, object, "KollectTarget");
            }
            "KollectClusterInventory" => {
                let default = match object.text("/spec/sinkNamespace") {
                    "" => "kollect-system",
                    namespace => namespace,
                };
                found.sinks(set, object, default);
                found.targets(set, object, "KollectClusterTarget");
            }
            "KollectConnectionTest" => {
                for family in SinkFamily::ALL {
                    let field = family.refs_field().trim_end_matches('s');
                    found.name(set, object, &format!("spec.sinkRef.{field}"), family.kind(), namespace);
                }
            }
            _ => {}
        }
    }
    duplicates(set, &mut found.findings);
    found
}

fn at<'a>(object: &SetObject<'a>, field: &str) -> Option<&'a Value> {
    object.value.pointer(&format!("/{}", field.replace('.', "/")))
}

impl<'a> References<'a> {
    /// A field that holds a name.
    fn name(&mut self, set: &ObjectSet, from: SetObject<'a>, field: &str, kind: &'static str, namespace: &str) {
        if let Some(name) = at(&from, field).and_then(Value::as_str) {
            self.require(set, from, field.to_owned(), (kind, namespace, name));
        }
    }

    /// A field that holds a name and perhaps a namespace.
    fn reference(&mut self, set: &ObjectSet, from: SetObject<'a>, field: &str, kind: &'static str, default: &str) {
        let Some(reference) = at(&from, field) else { return };
        let namespace = reference["namespace"].as_str().unwrap_or(default);
        if let Some(name) = reference["name"].as_str() {
            self.require(set, from, format!("{field}.name"), (kind, namespace, name));
        }
    }

    fn sinks(&mut self, set: &ObjectSet, from: SetObject<'a>, default: &str) {
        for family in SinkFamily::ALL {
            let field = format!("spec.{}", family.refs_field());
            for (i, entry) in at(&from, &field).and_then(Value::as_array).into_iter().flatten().enumerate() {
                let (name, place) = match entry {
                    Value::String(name) => (Some(name.as_str()), format!("{field}[{i}]")),
                    entry => (entry["name"].as_str(), format!("{field}[{i}].name")),
                };
                let namespace = entry["namespace"].as_str().unwrap_or(default);
                if let Some(name) = name {
                    self.require(set, from, place, (family.kind(), namespace, name));
                }
            }
        }
    }

    fn targets(&mut self, set: &ObjectSet, from: SetObject<'a>, kind: &'static str) {
        for (i, name) in at(&from, "spec.targetRefs").and_then(Value::as_array).into_iter().flatten().enumerate() {
            if let Some(name) = name.as_str() {
                self.require(set, from, format!("spec.targetRefs[{i}]"), (kind, from.namespace(), name));
            }
        }
    }

    fn require(&mut self, set: &ObjectSet, from: SetObject<'a>, field: String, wanted: (&'static str, &str, &str)) {
        let (kind, namespace, name) = wanted;
        // A text that can be no name breaks a rule, whose violation is reported.
        if name.trim().is_empty() || name.contains('/') || set.find(kind, namespace, name).is_some() {
            return;
        }
        let elsewhere = set.of_kind(kind).filter(|o| o.name() == name).map(|o| o.namespace().to_owned()).collect();
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        self.missing.push(Missing { from, field, kind, namespace, name, elsewhere });
    }
}

/// Kollect objects that exist twice: the later one would replace the earlier one.
fn duplicates(set: &ObjectSet, findings: &mut Vec<ValidateFinding>) {
    let mut seen: HashMap<(&str, &str, &str), SetObject<'_>> = HashMap::new();
    for object in set.objects().filter(|object| object.is_kollect() && !object.name().is_empty()) {
        let key = (object.kind(), object.namespace(), object.name());
        if let Some(first) = seen.get(&key) {
            let first = ValidateFinding::about(set, first, "", "metadata.name", Mark::Value);
            let message = format!(
                "{} {} is there twice, first at {}:{}; the later one replaces it; keep one",
                object.kind(),
                object.name(),
                first.file,
                first.line
            );
            findings.push(
                ValidateFinding::about(set, &object, "duplicate", "metadata.name", Mark::Value).with_message(message),
            );
        } else {
            seen.insert(key, object);
        }
    }
}
