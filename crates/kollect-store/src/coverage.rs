//! How well a part (target × object namespace) is known, and what follows for rows that a sink holds.
//!
//! Absence is proven, never assumed: [`Standing`] is the only answer that allows a deletion without an observed one.

use kollect_model::{Cause, Digest, Version};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How well the collector knows one object namespace of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Coverage {
    /// Not listed yet in this process.
    #[default]
    Pending,
    /// Completely listed, and every change since was seen.
    Synced,
    /// Cannot be listed (403, not served, API server down), with the reason.
    Lost(Arc<str>),
}

/// What is known of one part of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartState {
    /// Not listed yet, or it is not yet decided whether the target wants it.
    Pending,
    /// Completely listed.
    Synced,
    /// Cannot be listed, with the reason.
    Lost(Arc<str>),
    /// The target does not want this namespace. Decided, not assumed.
    Outside,
}

/// The object namespaces that a target collects from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Not known yet: every part is pending.
    #[default]
    Undecided,
    /// Nothing can be known at the moment, with the reason: the target is not collected, but its rows stay where they are.
    Unknowable(Arc<str>),
    /// These namespaces.
    Namespaces(Arc<BTreeSet<Arc<str>>>),
    /// The kind is cluster-scoped: the only part is the empty namespace.
    ClusterScoped,
}

impl Wanted {
    /// Whether the namespace is wanted; `None` while that is undecided.
    pub fn wants(&self, namespace: &str) -> Option<bool> {
        match self {
            Self::Undecided | Self::Unknowable(_) => None,
            Self::Namespaces(set) => Some(set.contains(namespace)),
            Self::ClusterScoped => Some(namespace.is_empty()),
        }
    }
}

/// What a row that a sink holds means today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The view has it, with this content.
    Present {
        /// Version of the row's last change.
        version: Version,
        /// Digest of its content.
        digest: Digest,
    },
    /// It is proven that the view does not have it.
    Gone(Cause),
    /// The view does not have it, but its part is not fully known: leave it where it is.
    Unproven,
}
