//! What outlives a watch, so that its successor resumes and the status of its targets can be read.

use parking_lot::Mutex;
use std::sync::atomic::AtomicU64;

/// How far one watch has come.
#[derive(Debug, Default)]
pub(crate) struct WatchProgress {
    /// The table epoch at which the last complete list began; 0 = none.
    pub(crate) listed: AtomicU64,
    /// Objects that the watch covers.
    pub(crate) objects: AtomicU64,
    /// Why list or watch fails at present.
    pub(crate) error: Mutex<Option<String>>,
}
