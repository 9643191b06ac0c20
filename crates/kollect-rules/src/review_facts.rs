//! What a review depends on beside the object itself: the operator's settings and other objects.

use crate::secrets::SecretExtractionPolicy;
use kollect_api::{KollectClusterScope, KollectProfile, KollectScope};
use kollect_model::Cidr;
use serde_json::Value;
use std::sync::Arc;

/// The operator's settings that rules depend on.
#[derive(Clone, Debug)]
pub struct RuleSettings {
    /// Largest document in bytes; the upper bound of every `maxExportBytes`.
    pub max_export_bytes: i64,
    /// Namespaces in which data of Secrets may be collected.
    pub secret_extraction: SecretExtractionPolicy,
    /// Cluster-scoped Kollect kinds are refused.
    pub tenant_mode: bool,
    /// Sinks at private addresses are allowed.
    pub allow_private_sinks: bool,
    /// Sinks at loopback addresses are allowed.
    pub allow_loopback_sinks: bool,
    /// Address ranges that are denied to sinks, whatever else is allowed.
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

/// The objects that [`needs`](crate::needs) lists, as far as they exist.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReviewFacts<'a> {
    /// The referenced profile.
    pub profile: Option<&'a KollectProfile>,
    /// All scopes of the namespace.
    pub scopes: &'a [KollectScope],
    /// All cluster scopes.
    pub cluster_scopes: &'a [KollectClusterScope],
    /// The schema of the kind of a profile, as returned by [`kind_schema`](crate::kind_schema).
    pub schema: Option<&'a Value>,
}
