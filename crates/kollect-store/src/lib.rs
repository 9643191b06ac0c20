//! The row store: what Kollect remembers of the cluster, and nothing else.
//!
//! One shard per target holds its rows in the order of their last change. A reader gives a view and a version and
//! gets the changes since. Everything here is sync and pure: no clock, no network, no async run time. It must not know
//! sinks or Kubernetes.
#![warn(missing_docs)]

mod changes;
mod coverage;
mod dedupe;
mod log;
mod readers;
#[cfg(test)]
mod schedules;
mod shard;
mod store;
mod sum;
mod sync;
mod tallies;
mod view;

pub use changes::{Changes, Query};
pub use coverage::{Coverage, PartState, Standing, Wanted};
pub use readers::ReaderId;
pub use store::{Store, StoreObserver};
pub use sum::Sum;
pub use view::{Dedupe, NamespaceFilter, View};
