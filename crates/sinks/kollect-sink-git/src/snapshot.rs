//! What stands at a path of a tree.

use crate::error::{Trouble, local};
use git2::{FileMode, ObjectType, Oid, Repository, Tree};
use std::collections::HashMap;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Absent,
    Blob(Oid),
    Tree(Oid),
    /// A link or a submodule.
    Other,
    /// Something above it is not a folder.
    Blocked,
}

/// Files of kept folders; some 50 bytes each.
const MOST_ENTRIES: usize = 500_000;

/// A tree with the folders that were looked into. libgit2 does not keep large trees, so that looking up every file of a
/// large folder would read it again each time.
pub(crate) struct Snapshot<'r> {
    pub(crate) repo: &'r Repository,
    root: Option<Tree<'r>>,
    folders: HashMap<Box<str>, Result<Tree<'r>, Found>>,
    /// Files in `folders`, which bounds its memory.
    entries: usize,
}

impl<'r> Snapshot<'r> {
    /// `None`: the empty tree.
    pub(crate) fn open(repo: &'r Repository, tree: Option<Oid>) -> Result<Self, Trouble> {
        let root = tree.map(|id| repo.find_tree(id)).transpose().map_err(local)?;
        Ok(Self { repo, root, folders: HashMap::new(), entries: 0 })
    }

    pub(crate) fn find(&mut self, path: &str) -> Result<Found, Trouble> {
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
        let Some(tree) = tree else { return Ok(Found::Absent) };
        Ok(match tree.get_name(name) {
            None => Found::Absent,
            Some(entry) if entry.filemode() == i32::from(FileMode::Link) => Found::Other,
            Some(entry) => match entry.kind() {
                Some(ObjectType::Blob) => Found::Blob(entry.id()),
                Some(ObjectType::Tree) => Found::Tree(entry.id()),
                _ => Found::Other,
            },
        })
    }

    fn folder(&self, path: &str) -> Result<Result<Tree<'r>, Found>, Trouble> {
        let Some(root) = &self.root else { return Ok(Err(Found::Absent)) };
        let mut tree = root.clone();
        for part in path.split('/') {
            let Some(entry) = tree.get_name(part) else { return Ok(Err(Found::Absent)) };
            if entry.kind() != Some(ObjectType::Tree) {
                return Ok(Err(Found::Blocked));
            }
            let id = entry.id();
            drop(entry);
            tree = self.repo.find_tree(id).map_err(local)?;
        }
        Ok(Ok(tree))
    }

    /// Bytes of an object.
    pub(crate) fn size(&self, id: Oid) -> Result<u64, Trouble> {
        let (size, _) = self.repo.odb().and_then(|objects| objects.read_header(id)).map_err(local)?;
        Ok(size as u64)
    }

    pub(crate) fn content(&self, id: Oid) -> Result<Vec<u8>, Trouble> {
        Ok(self.repo.find_blob(id).map_err(local)?.content().to_vec())
    }
}
