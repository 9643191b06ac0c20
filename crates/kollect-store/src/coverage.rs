//! How completely a part (target × object namespace) is known, and what that means for rows that a sink holds.
//!
//! Absence is proven, never assumed: only [`HeldRowState`] allows a deletion that was not observed.

use kollect_model::{Cause, Digest, Version};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How completely the collector knows one object namespace of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Coverage {
    /// Not listed yet in this process.
    #[default]
    Pending,
    /// Completely listed, and every change since was received.
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
    /// The target does not want this namespace.
    Outside,
}

/// The object namespaces that a target collects from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WantedParts {
    /// Not known yet: every part is pending.
    #[default]
    Undecided,
    /// The target is not collected at present, with the reason: nothing is known, and its rows stay in the sinks.
    Unknowable(Arc<str>),
    /// These namespaces.
    Namespaces(Arc<BTreeSet<Arc<str>>>),
    /// The kind is cluster-scoped: the only part is the empty namespace.
    ClusterScoped,
}

impl WantedParts {
    /// Whether the namespace is wanted; `None` while that is undecided.
    pub fn wants(&self, namespace: &str) -> Option<bool> {
        match self {
            Self::Undecided | Self::Unknowable(_) => None,
            Self::Namespaces(set) => Some(set.contains(namespace)),
            Self::ClusterScoped => Some(namespace.is_empty()),
        }
    }
}

/// What a row that a sink holds is to the view at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldRowState {
    /// The view contains it, with this content.
    Present {
        /// Version of the row's last change.
        version: Version,
        /// Digest of its content.
        digest: Digest,
    },
    /// The view provably does not contain it.
    Gone(Cause),
    /// The view does not contain it, but its part is not completely known: the sink must keep it.
    Unproven,
}
