//! What the conditions of an inventory depend on.

use kollect_export::Class;
use kollect_model::Reason;
use std::time::Duration;

/// One binding as the conditions need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingReport {
    /// `family/name`.
    pub name: String,
    /// Its outcome.
    pub outcome: BindingOutcome,
}

/// The newest outcome of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindingOutcome {
    /// No outcome yet; the text names what it waits for.
    Waiting(String),
    /// The sink holds what the inventory has.
    InSync,
    /// Changes wait for the interval.
    Debounced {
        /// How many rows changed.
        changes: u64,
        /// How long they wait at most.
        due_in: Duration,
    },
    /// The last attempt failed, or none is possible.
    Failed {
        /// What decides the reaction.
        class: Class,
        /// Why, e.g. `SinkNotFound` or `ExportFailed`.
        reason: Reason,
        /// What happened and what to do.
        message: String,
    },
}

impl BindingOutcome {
    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Failed { class: Class::Terminal | Class::Forbidden, .. })
    }
    pub(super) fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

/// Everything that the conditions of an inventory depend on.
#[derive(Clone, Debug, Default)]
pub struct InventoryFacts {
    /// `spec.suspend`.
    pub suspended: bool,
    /// A fault of the inventory itself that stops every binding: reason and message.
    pub blocked: Option<(Reason, String)>,
    /// One per sink reference.
    pub bindings: Vec<BindingReport>,
    /// Rows in the view.
    pub items: u64,
    /// Set when a document binding is near the size where splitting pays: message.
    pub shard_warning: Option<String>,
    /// Rows that some backend refused, named.
    pub rejected: Vec<String>,
    /// Rows that have no file of their own in a tree: reason, and the binding with why.
    pub left_out: Vec<(Reason, String)>,
    /// Sinks whose last probe failed: name and message.
    pub unreachable: Vec<(String, String)>,
    /// Set for cluster inventories.
    pub rollup: Option<Rollup>,
}

/// The cluster targets of a cluster inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollup {
    /// How many have a selected namespace.
    pub targets: usize,
    /// Those that cannot collect, by name.
    pub degraded: Vec<String>,
    /// Names in `targetRefs` that do not exist.
    pub missing: Vec<String>,
    /// There are none, and the inventory is so young that they may be created within this time.
    pub settling: Option<Duration>,
}
