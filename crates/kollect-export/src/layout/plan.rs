//! The files that a binding should have, and what turns the held ones into them.

use crate::contract::files::{Body, FileChange, HeldFile};
use crate::layout::left_out::LeftOut;
use crate::layout::path_index::PathIndex;
use kollect_model::Digest;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A file that a binding should have.
#[derive(Clone)]
pub struct PlannedFile {
    /// Path below the destination's root.
    pub path: Arc<str>,
    /// What it is made from.
    pub digest: Digest,
    /// Content.
    pub body: Arc<dyn Body>,
}

impl PlannedFile {
    /// The file as it is held once this plan is acknowledged.
    pub(super) fn as_held(&self) -> HeldFile {
        HeldFile { path: self.path.clone(), digest: Some(self.digest) }
    }
}

impl std::fmt::Debug for PlannedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.path, self.digest)
    }
}

/// Everything that a binding should have.
#[derive(Debug, Default)]
pub struct FilePlan {
    /// The files.
    pub files: Vec<PlannedFile>,
    /// Rows in them.
    pub rows: u64,
    /// Fingerprint of all items; documents only.
    pub checksum: Option<String>,
    /// Size of all files together; documents only.
    pub bytes: Option<u64>,
    /// What later deltas need to know, once this plan is acknowledged.
    pub index: PathIndex,
    /// The first rows that have no file of their own.
    pub left_out: Vec<LeftOut>,
    /// Held paths of rows that cannot be written now: they stay as they are.
    pub retained: HashSet<Arc<str>>,
}

impl FilePlan {
    /// Changes that turn `held` into this plan, deletes first. A held path that is not planned is deleted only if
    /// `may_delete` returns `true`.
    pub fn difference(
        &self,
        held: impl IntoIterator<Item = HeldFile>,
        may_delete: &dyn Fn(&str) -> bool,
    ) -> Vec<FileChange> {
        let planned: HashMap<&str, Digest> = self.files.iter().map(|file| (&*file.path, file.digest)).collect();
        let mut unchanged = HashSet::new();
        let mut changes = Vec::new();
        for HeldFile { path, digest } in held {
            match planned.get_key_value(&*path) {
                Some((path, wanted)) if digest == Some(*wanted) => {
                    unchanged.insert(*path);
                }
                None if may_delete(&path) && !self.retained.contains(&path) => {
                    changes.push(FileChange::Delete { path });
                }
                Some(_) | None => {}
            }
        }
        let puts = self.files.iter().filter(|file| !unchanged.contains(&*file.path));
        changes.extend(puts.map(|file| FileChange::Put {
            path: file.path.clone(),
            digest: file.digest,
            body: file.body.clone(),
        }));
        changes
    }
}
