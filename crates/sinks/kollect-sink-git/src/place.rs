//! What this process knows of one branch of one repository, and the lock around it.
//!
//! Separate because sinks come and go with their specs and Secrets while the branch stays: everybody who writes to it,
//! with whatever credentials, takes turns here.

use crate::error::Trouble;
use crate::mirror::Mirror;
use git2::Oid;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// Knowledge about one branch. Held by one job at a time, so that nothing else touches the mirror.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) mirror: Option<Mirror>,
    pub(crate) tip: Tip,
    /// Where the branch last was, also when that is in doubt now.
    pub(crate) last: Tip,
    /// Credentials that have read this branch. Others must do so before they are told anything about it.
    pub(crate) read_by: Option<String>,
    /// Counts how often somebody else moved the branch.
    pub(crate) moves: u64,
    /// Records whose files were known to be in order.
    pub(crate) seen: HashMap<String, Seen>,
}

/// Where the branch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tip {
    /// Never asked, or in doubt: ask before building on it.
    #[default]
    Unknown,
    /// The branch does not exist.
    Empty,
    At(Oid),
}

/// When a record and its files were last known to be in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Value of [`State::moves`] then.
    pub(crate) moves: u64,
    /// The record's object in the tree then.
    pub(crate) entry: Option<Oid>,
}

impl State {
    /// Removes the mirror, as if the disk had been lost.
    pub(crate) fn drop_mirror(&mut self) -> Result<(), Trouble> {
        self.tip = Tip::Unknown;
        self.mirror.as_mut().map_or(Ok(()), Mirror::delete)
    }
}

pub(crate) type Place = Arc<tokio::sync::Mutex<State>>;
type Key = (PathBuf, String);

/// The places in use, by directory and name of their mirrors.
static PLACES: Mutex<BTreeMap<Key, Weak<tokio::sync::Mutex<State>>>> = Mutex::new(BTreeMap::new());

fn key(root: &Path, mirror: &str) -> Key {
    (root.to_owned(), mirror.to_owned())
}

/// The place for a destination: one per process for as long as a sink uses it.
pub(crate) fn place(root: &Path, mirror: &str) -> Place {
    let mut places = PLACES.lock();
    places.retain(|_, place| place.strong_count() > 0);
    if let Some(found) = places.get(&key(root, mirror)).and_then(Weak::upgrade) {
        return found;
    }
    let new = Place::default();
    places.insert(key(root, mirror), Arc::downgrade(&new));
    new
}

/// The place that a mirror belongs to, if this process uses it.
pub(crate) fn find(root: &Path, mirror: &str) -> Option<Place> {
    PLACES.lock().get(&key(root, mirror)).and_then(Weak::upgrade)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_has_one_place_while_it_is_used() {
        let root = Path::new("/tests");
        let one = place(root, "a");
        assert!(Arc::ptr_eq(&one, &place(root, "a")));
        assert!(!Arc::ptr_eq(&one, &place(root, "b")));
        assert!(Arc::ptr_eq(&one, &find(root, "a").unwrap()));
        drop(one);
        assert!(find(root, "a").is_none());
    }
}
