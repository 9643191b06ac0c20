//! The spec of a target as control passes it in, and the status that the collector returns.

use crate::matching::Matching;
use kollect_extract::Extractor;
use kollect_model::{Gvk, TargetKey};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The namespaces that a target collects from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedNamespaces {
    /// Not known yet, because the namespaces of the cluster are not.
    Undecided,
    /// Exactly these. Cluster-scoped objects are matched by the namespace `default`.
    Only(Arc<BTreeSet<Arc<str>>>),
}

/// One target, ready to collect.
#[derive(Clone, Debug)]
pub struct TargetSpec {
    /// Whose rows these are.
    pub key: Arc<TargetKey>,
    /// The kind of the profile.
    pub gvk: Arc<Gvk>,
    /// The compiled profile.
    pub extractor: Arc<Extractor>,
    /// Which objects match.
    pub matching: Arc<Matching>,
    /// The effective namespaces.
    pub namespaces: WantedNamespaces,
    /// When the target was created, in seconds since 1970.
    pub created: i64,
    /// Hash of the target's and the profile's spec: a new value causes every object to be evaluated again.
    pub version: u64,
}

/// A target that is not collected at present but still belongs to its inventories: its rows stay in the sinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PausedTarget {
    /// Whose rows these are.
    pub key: Arc<TargetKey>,
    /// Why it is not collected.
    pub why: Arc<str>,
}

/// How collecting for a target goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetStatus {
    /// Why the kind cannot be watched at all.
    pub not_served: Option<String>,
    /// Why the store limit excludes it.
    pub no_room: Option<String>,
    /// Namespaces that may not be listed or watched; the empty namespace means the whole cluster.
    pub forbidden: Vec<(Arc<str>, Arc<Gvk>)>,
    /// Why the permission to list could not be checked.
    pub access_error: Option<String>,
    /// Why a list or watch fails at present.
    pub list_error: Option<String>,
    /// Its expressions are expensive, so a worker with lower scheduling priority collects it.
    pub low_priority: bool,
    /// Objects whose extraction fails.
    pub extraction_failures: u64,
    /// The newest extraction error.
    pub last_extraction_error: Option<String>,
    /// Parts that are not completely listed yet.
    pub pending: usize,
    /// Parts that are completely listed.
    pub synced: usize,
    /// Rows in the store.
    pub rows: u64,
}
