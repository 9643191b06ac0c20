//! The row store: all that Kollect keeps of the cluster in memory.
//!
//! One shard per target holds its rows in the order of their last change. A reader passes a view and a version and gets the
//! changes since. Sync and pure: no clock, no network, no async run time; it must not know sinks or Kubernetes.
#![warn(missing_docs)]

mod change_log;
mod changes;
mod coverage;
mod dedupe;
mod deduped_totals;
#[cfg(test)]
mod fixtures;
mod readers;
#[cfg(test)]
mod schedules;
mod set_hash;
mod shard;
mod shards;
mod store;
mod sync;
mod view;

pub use changes::{Changes, ChangesQuery};
pub use coverage::{Coverage, HeldRowState, PartState, WantedParts};
pub use readers::ReaderId;
pub use set_hash::SetHash;
pub use store::{Store, StoreObserver};
pub use view::{Dedupe, NamespaceFilter, View};
