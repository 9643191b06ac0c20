//! What the collector reports about itself, for metrics and status.
//!
//! Implementations must return quickly and must not call the collector.

use crate::plan::Gvr;
use kollect_model::{TargetKey, Uid};
use std::time::Duration;

/// Class of a target's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectErrorClass {
    /// Will be retried, e.g. an access review that failed.
    Transient,
    /// Stays until the object or the profile changes.
    Terminal,
    /// Access is denied.
    Forbidden,
}

/// Observes the collector. Every method does nothing unless implemented.
#[expect(unused_variables, reason = "the default methods do nothing")]
pub trait CollectObserver: Send + Sync {
    /// The status of a target may have changed.
    fn target_changed(&self, key: &TargetKey) {}
    /// One object was processed.
    fn dispatched(&self, took: Duration) {}
    /// Objects that wait for a worker or are in work.
    fn queue_depth(&self, objects: usize) {}
    /// A watch waits because the queues are full.
    fn backpressure(&self) {}
    /// Objects of a resource, over all its watches.
    fn objects(&self, gvr: &Gvr, objects: u64) {}
    /// Whether a resource is watched cluster-wide.
    fn cluster_wide(&self, gvr: &Gvr, yes: bool) {}
    /// Whether the answer to an access check was known already.
    fn access(&self, known: bool) {}
    /// An object of a namespace that some targets of its resource do not want.
    fn namespace_mismatch(&self, gvr: &Gvr, targets: u64) {}
    /// An error of a target.
    fn error(&self, key: &TargetKey, class: CollectErrorClass) {}
    /// An object of a target has no row because a value could not be extracted.
    fn extraction_failed(&self, key: &TargetKey, namespace: &str, name: &str, uid: &Uid, message: &str) {}
    /// The collector listed a collection completely.
    fn listed(&self, gvr: &Gvr) {}
}

/// Ignores every call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl CollectObserver for Unobserved {}
