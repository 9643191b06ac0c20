//! What this process knows of one branch of one repository, and the lock around it.
//!
//! Separate because sinks come and go with their specs and Secrets while the branch stays: everybody who writes to it,
//! with whatever credentials, takes turns here.

use crate::mirror::Mirror;
use git2::Oid;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
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

pub(crate) type Place = Arc<tokio::sync::Mutex<State>>;

/// The place for a destination: one per process for as long as somebody uses it.
pub(crate) fn place(key: &str) -> Place {
    static PLACES: Mutex<BTreeMap<String, Weak<tokio::sync::Mutex<State>>>> = Mutex::new(BTreeMap::new());
    let mut places = PLACES.lock();
    places.retain(|_, place| place.strong_count() > 0);
    if let Some(found) = places.get(key).and_then(Weak::upgrade) {
        return found;
    }
    let new = Place::default();
    places.insert(key.to_owned(), Arc::downgrade(&new));
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_has_one_place_while_it_is_used() {
        let one = place("test a");
        assert!(Arc::ptr_eq(&one, &place("test a")));
        assert!(!Arc::ptr_eq(&one, &place("test b")));
    }
}
