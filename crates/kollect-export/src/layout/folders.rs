//! Paths that are folders of other paths: no tree can hold both.
//!
//! Where all paths have the same number of segments there is none, so nothing is kept for such trees. Numbers differ
//! where a value is empty and its segment is dropped, as the namespace of a cluster-scoped object.

use std::collections::HashSet;

/// The folders of the paths of a tree, as hashes.
#[derive(Clone, Debug, Default)]
pub(super) struct Folders {
    /// A bit for each number of segments.
    depths: u64,
    hashes: HashSet<u64>,
}

/// The folders above a path, nearest first: `a/b/c.yaml` is in `a/b` and in `a`.
pub(super) fn above(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('/').map(|(at, _)| &path[..at])
}

impl Folders {
    /// Whether paths have different numbers of segments, so that every folder is known.
    pub(super) fn are_kept(&self) -> bool {
        self.depths.count_ones() > 1
    }

    /// Notes how many segments a path has. `true` when it is the first with another number: folders are kept from here
    /// on, and those of all paths before must be added.
    pub(super) fn begin(&mut self, depth: u64) -> bool {
        let kept = self.are_kept();
        self.depths |= depth;
        self.are_kept() && !kept
    }

    /// Whether paths of these depths, together with those before, need no folders that are not kept.
    pub(super) fn fit(&self, depths: u64) -> bool {
        self.are_kept() || (self.depths | depths).count_ones() <= 1
    }

    pub(super) fn add(&mut self, folder: u64) {
        self.hashes.insert(folder);
    }

    pub(super) fn contains(&self, path: u64) -> bool {
        self.hashes.contains(&path)
    }
}

/// The bit of a path's number of segments.
pub(super) fn depth_of(path: &str) -> u64 {
    1 << path.matches('/').count().min(63)
}
