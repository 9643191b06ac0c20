//! Finds the entries of paths in a tree, keeping the folders that were read.

use crate::error::{GitError, local};
use git2::{FileMode, ObjectType, Oid, Repository, Tree};
use std::collections::HashMap;

/// The entry at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TreeEntry {
    Absent,
    Blob(Oid),
    Tree(Oid),
    /// A link or a submodule.
    Other,
    /// A parent is not a folder.
    Blocked,
}

/// Limit of entries in kept folders; some 50 bytes each.
const MOST_ENTRIES: usize = 500_000;

/// A tree with its folders that were read. libgit2 does not cache large trees, so without them each lookup in a large
/// folder would parse it again.
pub(crate) struct Snapshot<'r> {
    pub(crate) repo: &'r Repository,
    root: Option<Tree<'r>>,
    folders: HashMap<Box<str>, Result<Tree<'r>, TreeEntry>>,
    /// Files in `folders`, which bounds its memory.
    entries: usize,
}

impl<'r> Snapshot<'r> {
    /// `None`: the empty tree.
    pub(crate) fn open(repo: &'r Repository, tree: Option<Oid>) -> Result<Self, GitError> {
        let root = tree.map(|id| repo.find_tree(id)).transpose().map_err(local)?;
        Ok(Self { repo, root, folders: HashMap::new(), entries: 0 })
    }

    pub(crate) fn find(&mut self, path: &str) -> Result<TreeEntry, GitError> {
        let (folder, name) = path.rsplit_once('/').map_or((None, path), |(folder, name)| (Some(folder), name));
        let tree = match folder {
            None => self.root.as_ref(),
            Some(folder) => {
                if !self.folders.contains_key(folder) {
                    let tree = self.folder(folder)?;
                    self.entries += 1 + tree.as_ref().map_or(0, Tree::len);
                    if self.entries > MOST_ENTRIES {
                        self.folders.clear();
                        self.entries = 0;
                    }
                    self.folders.insert(folder.into(), tree);
                }
                match &self.folders[folder] {
                    Ok(tree) => Some(tree),
                    Err(why) => return Ok(*why),
                }
            }
        };
        let Some(tree) = tree else { return Ok(TreeEntry::Absent) };
        Ok(match tree.get_name(name) {
            None => TreeEntry::Absent,
            Some(entry) if entry.filemode() == i32::from(FileMode::Link) => TreeEntry::Other,
            Some(entry) => match entry.kind() {
                Some(ObjectType::Blob) => TreeEntry::Blob(entry.id()),
                Some(ObjectType::Tree) => TreeEntry::Tree(entry.id()),
                _ => TreeEntry::Other,
            },
        })
    }

    fn folder(&self, path: &str) -> Result<Result<Tree<'r>, TreeEntry>, GitError> {
        let Some(root) = &self.root else { return Ok(Err(TreeEntry::Absent)) };
        let mut tree = root.clone();
        for part in path.split('/') {
            let Some(entry) = tree.get_name(part) else { return Ok(Err(TreeEntry::Absent)) };
            if entry.kind() != Some(ObjectType::Tree) {
                return Ok(Err(TreeEntry::Blocked));
            }
            let id = entry.id();
            drop(entry);
            tree = self.repo.find_tree(id).map_err(local)?;
        }
        Ok(Ok(tree))
    }

    /// Bytes of an object.
    pub(crate) fn size(&self, id: Oid) -> Result<u64, GitError> {
        let (size, _) = self.repo.odb().and_then(|objects| objects.read_header(id)).map_err(local)?;
        Ok(size as u64)
    }

    pub(crate) fn content(&self, id: Oid) -> Result<Vec<u8>, GitError> {
        Ok(self.repo.find_blob(id).map_err(local)?.content().to_vec())
    }
}
