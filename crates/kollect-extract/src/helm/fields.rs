//! The fields of a release that a profile reads, as a tree for the decoder.

use super::path::HelmPath;
use std::collections::BTreeMap;

/// All fields of a release that a profile reads.
#[derive(Debug, Default)]
pub(crate) struct HelmFields {
    pub(super) notes: bool,
    pub(super) whole: bool,
    pub(super) fields: BTreeMap<Box<str>, Self>,
}

impl HelmFields {
    pub(crate) fn insert(&mut self, path: &HelmPath) {
        self.notes |= path.notes;
        let mut node = self;
        for step in &path.steps {
            node = node.fields.entry(step.clone()).or_default();
        }
        node.whole = true;
    }
}
