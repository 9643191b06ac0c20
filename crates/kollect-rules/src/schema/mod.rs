//! Validates objects against the schemas of the CRDs: types, required and unknown fields, enums, bounds.
//!
//! The schemas are those of the CRDs, so an offline check equals an API server's. Their CEL rules are not evaluated; the
//! rules of the kinds cover them.

mod misfit;
mod node;
mod repair;
mod walk;

pub(crate) use misfit::{Misfit, SCHEMA};
pub(crate) use repair::repaired;

use crate::rule::RuleDoc;
use node::SchemaNode;
use serde_json::Value;
use std::sync::{LazyLock, OnceLock};

pub(crate) static RULES: &[&RuleDoc] = &[&SCHEMA];

/// Deepest nesting of an object; the schemas need a third of it.
const MAX_DEPTH: usize = 64;
/// A kind and its schema, built on first use.
type Spec = (&'static str, OnceLock<Option<SchemaNode>>);

/// Built per kind, because most programs use few of them and each takes milliseconds.
static SPECS: LazyLock<Vec<Spec>> =
    LazyLock::new(|| kollect_api::kinds().map(|kind| (kind, OnceLock::new())).collect());

/// The schema of the spec of a kind.
pub(crate) fn spec_of(kind: &str) -> Option<&'static SchemaNode> {
    let (_, spec) = SPECS.iter().find(|(name, _)| *name == kind)?;
    spec.get_or_init(|| {
        let schema = kollect_api::crd_of(kind)?.spec.versions.into_iter().next()?.schema?.open_api_v3_schema?;
        let schema = serde_json::to_value(schema).ok()?;
        Some(SchemaNode::new(&schema["properties"]["spec"]))
    })
    .as_ref()
}

/// Adds everything that does not fit; false when the spec cannot be checked further.
pub(crate) fn check(object: &Value, spec: &SchemaNode, misfits: &mut Vec<Misfit>) -> bool {
    if is_deep(object) {
        let why = format!("the object is nested more than {MAX_DEPTH} levels deep");
        walk::hard(misfits, "", "", why);
        return false;
    }
    walk::top(object, misfits);
    match &object["spec"] {
        Value::Null => {
            walk::hard(misfits, "spec", "", "Required value: the object has no spec".to_owned());
            false
        }
        value @ Value::Object(_) => {
            walk::walk(spec, value, "spec", &mut vec![], misfits);
            true
        }
        other => {
            walk::hard(misfits, "spec", "", format!("must be of type object, not {}", walk::kind_of(other)));
            false
        }
    }
}

/// Iterative: a deep object must not overflow the stack.
fn is_deep(object: &Value) -> bool {
    let mut open = vec![(object, 1)];
    while let Some((value, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return true;
        }
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => open.extend(fields.values().map(|field| (field, depth + 1))),
            _ => {}
        }
    }
    false
}
