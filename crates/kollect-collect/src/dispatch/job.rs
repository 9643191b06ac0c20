//! What the dispatcher and its workers exchange.

use crate::observe::CollectObserver;
use crate::targets::resource_targets::ResourceTargets;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

pub(super) enum Job {
    Object {
        targets: Arc<ResourceTargets>,
        deleted: bool,
        raw: Box<str>,
        /// Held while the object is queued or in work.
        _bytes: OwnedSemaphorePermit,
    },
    /// Answered when every job before it is done.
    Barrier(mpsc::Sender<()>),
}

pub(super) struct DispatchState {
    /// Objects that are queued or in work, in all pools together.
    pub(super) depth: Arc<AtomicUsize>,
    /// Objects that were queued and never processed.
    pub(super) lost: AtomicU64,
    pub(super) observer: Arc<dyn CollectObserver>,
}
