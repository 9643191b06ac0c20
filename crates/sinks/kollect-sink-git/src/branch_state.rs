//! The state of one branch in this process, behind one lock for all sinks that write to the branch.
//!
//! It is keyed by destination and outlives a sink, because sinks are built again when a spec or Secret changes.

use crate::error::GitError;
use crate::mirror::Mirror;
use git2::Oid;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// The state of one branch. One job at a time holds its lock, and with it the mirror.
#[derive(Default)]
pub(crate) struct BranchState {
    pub(crate) mirror: Option<Mirror>,
    pub(crate) tip: Tip,
    /// The last known tip, also while `tip` is unknown.
    pub(crate) last: Tip,
    /// Digest of the credentials that last fetched the branch. Others must fetch it before its state is used for them.
    pub(crate) read_by: Option<String>,
    /// Number of times that another writer moved the branch.
    pub(crate) moves: u64,
    /// Records that were compared with their files, by path.
    pub(crate) verified: HashMap<String, VerifiedRecord>,
}

/// The commit of the remote branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tip {
    /// Not listed yet, or uncertain after a failed push: list the remote before building on it.
    #[default]
    Unknown,
    /// The branch does not exist.
    Empty,
    At(Oid),
}

/// The last comparison of a record with its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VerifiedRecord {
    /// [`BranchState::moves`] at that time.
    pub(crate) moves: u64,
    /// The record's object in the tree at that time.
    pub(crate) entry: Option<Oid>,
}

impl BranchState {
    /// Deletes the mirror, and with it the known tip.
    pub(crate) fn drop_mirror(&mut self) -> Result<(), GitError> {
        self.tip = Tip::Unknown;
        self.mirror.as_mut().map_or(Ok(()), Mirror::delete)
    }
}

pub(crate) type SharedBranch = Arc<tokio::sync::Mutex<BranchState>>;
type Key = (PathBuf, String);

/// Branches in use, by directory and name of their mirrors.
static BRANCHES: Mutex<BTreeMap<Key, Weak<tokio::sync::Mutex<BranchState>>>> = Mutex::new(BTreeMap::new());

fn key(root: &Path, mirror: &str) -> Key {
    (root.to_owned(), mirror.to_owned())
}

/// The state of a destination: one per process, for as long as a sink uses it.
pub(crate) fn shared_branch(root: &Path, mirror: &str) -> SharedBranch {
    let mut branches = BRANCHES.lock();
    branches.retain(|_, branch| branch.strong_count() > 0);
    if let Some(found) = branches.get(&key(root, mirror)).and_then(Weak::upgrade) {
        return found;
    }
    let new = SharedBranch::default();
    branches.insert(key(root, mirror), Arc::downgrade(&new));
    new
}

/// The state of the branch with this mirror, if this process uses it.
pub(crate) fn find(root: &Path, mirror: &str) -> Option<SharedBranch> {
    BRANCHES.lock().get(&key(root, mirror)).and_then(Weak::upgrade)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_has_one_state_while_it_is_used() {
        let root = Path::new("/tests");
        let one = shared_branch(root, "a");
        assert!(Arc::ptr_eq(&one, &shared_branch(root, "a")));
        assert!(!Arc::ptr_eq(&one, &shared_branch(root, "b")));
        assert!(Arc::ptr_eq(&one, &find(root, "a").unwrap()));
        drop(one);
        assert!(find(root, "a").is_none());
    }
}
