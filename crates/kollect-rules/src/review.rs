//! One entry for all kinds: which facts a review of an object needs, and what is wrong with the object.
//!
//! Separate so that the admission webhook, `kollect validate` and the control loops ask the same question. The object
//! comes as JSON, because what it must be told includes members that its type does not know.

use crate::Violation;
use kollect_api::{KollectClusterScope, KollectProfile, KollectScope};
use serde_json::Value;

/// What the operator was told that bears on rules.
#[derive(Clone, Debug)]
pub struct RuleSettings {
    /// Largest document in bytes; the upper bound of every `maxExportBytes`.
    pub max_export_bytes: i64,
    /// Cluster-scoped Kollect kinds are refused.
    pub tenant_mode: bool,
    /// Sinks at private addresses are allowed.
    pub allow_private_sinks: bool,
    /// Sinks at loopback addresses are allowed.
    pub allow_loopback_sinks: bool,
}

impl Default for RuleSettings {
    fn default() -> Self {
        Self {
            max_export_bytes: 1_572_864,
            tenant_mode: false,
            allow_private_sinks: false,
            allow_loopback_sinks: false,
        }
    }
}

/// Other objects that a review looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The profile that the object refers to, as namespace and name.
    pub profile: Option<(String, String)>,
    /// The namespace whose enforced KollectScope limits the object.
    pub scope_of: Option<String>,
    /// Whether the enforced KollectClusterScope limits the object.
    pub cluster_scope: bool,
}

/// The objects that [`needs`] asked for, as far as they exist.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The referenced profile.
    pub profile: Option<&'a KollectProfile>,
    /// The enforced scope: of those in the namespace, the one with the lowest name.
    pub scope: Option<&'a KollectScope>,
    /// The enforced cluster scope: the one with the lowest name.
    pub cluster_scope: Option<&'a KollectClusterScope>,
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

/// Which other objects a review of `object` looks at. Nothing for kinds that are not Kollect's.
pub fn needs(_object: &Value) -> Needs {
    Needs::default()
}

/// Reviews one object of any Kollect kind; `None` when `kind` and `apiVersion` name no Kollect kind.
pub fn review(_object: &Value, _settings: &RuleSettings, _facts: &Facts<'_>) -> Option<Review> {
    None
}
