//! The keys of one JSON map, to find repeated ones.

use std::borrow::Cow;
use std::collections::HashSet;

/// Maps with more keys use a hash set.
const FEW: usize = 16;

/// The keys of one map so far.
#[derive(Default)]
pub(crate) struct KeySet<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> KeySet<'a> {
    /// Adds a key; `false` when it is already present.
    pub(crate) fn insert(&mut self, key: Cow<'a, str>) -> bool {
        if self.many.is_empty() && self.few.len() < FEW {
            let new = !self.few.contains(&key);
            self.few.push(key);
            return new;
        }
        self.many.extend(self.few.drain(..));
        self.many.insert(key)
    }
}
