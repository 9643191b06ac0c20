//! The cursors of all bindings: tombstones newer than the oldest one are still needed.

use crate::view::View;
use kollect_model::{TargetKey, Version};
use std::collections::HashMap;

/// A registered reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReaderId(pub(crate) u64);

struct Reader {
    cursor: Version,
    view: View,
}

#[derive(Default)]
pub(crate) struct Readers {
    next: u64,
    readers: HashMap<ReaderId, Reader>,
}

impl Readers {
    pub(crate) fn register(&mut self) -> ReaderId {
        self.next += 1;
        let id = ReaderId(self.next);
        self.readers.insert(id, Reader { cursor: Version(0), view: View::empty() });
        id
    }

    pub(crate) fn advance(&mut self, id: ReaderId, cursor: Version, view: &View) -> Option<View> {
        let reader = self.readers.get_mut(&id)?;
        reader.cursor = cursor;
        Some(std::mem::replace(&mut reader.view, view.clone()))
    }

    pub(crate) fn forget(&mut self, id: ReaderId) -> Option<View> {
        self.readers.remove(&id).map(|reader| reader.view)
    }

    /// The oldest cursor of a reader of the target; `None` without readers.
    pub(crate) fn oldest(&self, target: &TargetKey) -> Option<Version> {
        self.readers.values().filter(|reader| reader.view.target(target).is_some()).map(|reader| reader.cursor).min()
    }
}
