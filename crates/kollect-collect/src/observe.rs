//! What the collector tells about itself.
//!
//! Separate so that metrics and status live elsewhere. Implementations must return quickly and must not call back into the
//! collector.

use crate::plan::Gvr;
use kollect_model::{TargetKey, Uid};
use std::time::Duration;

/// Which kind of trouble a target met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectErrorClass {
    /// Goes away by itself, e.g. an access check that could not be asked.
    Transient,
    /// Stays until the object or the profile changes.
    Terminal,
    /// Access is denied.
    Forbidden,
}

/// Is told what happens while collecting. Every method does nothing unless implemented.
#[expect(unused_variables, reason = "the defaults ignore what they are told")]
pub trait CollectObserver: Send + Sync {
    /// The status of a target may have changed.
    fn target_changed(&self, key: &TargetKey) {}
    /// One object was turned into rows.
    fn dispatched(&self, took: Duration) {}
    /// Objects that wait for a worker.
    fn queue_depth(&self, objects: usize) {}
    /// A reader had to wait because the queues are full.
    fn backpressure(&self) {}
    /// Objects of a resource that its watches see.
    fn objects(&self, gvr: &Gvr, objects: u64) {}
    /// Whether a resource is watched cluster-wide.
    fn cluster_wide(&self, gvr: &Gvr, yes: bool) {}
    /// Whether an answer about access was known already.
    fn access(&self, known: bool) {}
    /// An object of a namespace that some targets of its resource do not want.
    fn namespace_mismatch(&self, gvr: &Gvr, targets: u64) {}
    /// A target met trouble.
    fn error(&self, key: &TargetKey, class: CollectErrorClass) {}
    /// An object of a target has no row, because a value could not be extracted.
    fn extraction_failed(&self, key: &TargetKey, namespace: &str, name: &str, uid: &Uid, message: &str) {}
    /// The collector listed a collection completely.
    fn listed(&self, gvr: &Gvr) {}
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl CollectObserver for Unobserved {}
