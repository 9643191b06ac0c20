//! Builds one commit from one batch, without a work tree; refuses paths that the binding does not own.
//!
//! The cost is proportional to the changed paths and their folders.

use crate::blobs;
use crate::blocking::JobHandle;
use crate::error::{GitError, local};
use crate::ownership_record::OwnershipRecord;
use crate::snapshot::{Snapshot, TreeEntry};
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Repository, Signature};
use kollect_export::layout::{RecordChange, RecordEntry};
use kollect_export::{FileBatch, FileChange, kill_point};
use std::collections::HashSet;

/// Longest path; Git servers and file systems refuse longer ones.
const MAX_PATH: usize = 4096;

/// The batch of one binding.
pub(crate) struct BindingBatch {
    pub(crate) batch: FileBatch,
    /// Index of its cycle in the job.
    pub(crate) cycle: usize,
    /// Delete every file in the record, and the record.
    pub(crate) forget: bool,
}

/// The result of [`build`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BuiltCommit {
    /// Commit and tree; `None` when the tree does not change.
    pub(crate) commit: Option<(Oid, Oid)>,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// The record's object in the new tree.
    pub(crate) entry: Option<Oid>,
}

/// Builds `item` on top of a commit and its tree; `None` for an empty branch.
pub(crate) fn build(
    repo: &Repository,
    job: &JobHandle,
    base: Option<(Oid, Oid)>,
    item: &BindingBatch,
) -> Result<BuiltCommit, GitError> {
    let base_tree = base.map(|(_, tree)| tree);
    let record = &*item.batch.record;
    let mut edit = Edit { repo, job, record, tree: base_tree, changes: Vec::new(), bytes: 0 };
    let mut snapshot = Snapshot::open(repo, base_tree)?;
    let mut ownership = OwnershipRecord::open(&mut snapshot, record)?;
    // Deletes first: a deleted file may become a folder, and a folder a file.
    edit.delete(&mut snapshot, &mut ownership, item)?;
    let mut snapshot = Snapshot::open(repo, edit.tree)?;
    if !item.forget {
        edit.put(&mut snapshot, &mut ownership, item)?;
    }
    let (rows, bytes) = (edit.changes.len() as u64, edit.bytes);
    let tree = edit.keep_record(&mut snapshot, ownership)?;
    let entry = match Snapshot::open(repo, tree)?.find(record)? {
        TreeEntry::Blob(id) | TreeEntry::Tree(id) => Some(id),
        _ => None,
    };
    let commit = match tree.filter(|_| tree != base_tree) {
        None => None,
        Some(tree) => Some((commit(repo, base.map(|(commit, _)| commit), tree, &item.batch)?, tree)),
    };
    Ok(BuiltCommit { commit, rows, bytes, entry })
}

/// No file of a batch may be a folder of another.
fn check_nesting<'p>(paths: impl Iterator<Item = &'p str> + Clone) -> Result<(), GitError> {
    let all: HashSet<&str> = paths.clone().collect();
    for path in paths {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        if let Some(file) = above.into_iter().find(|folder| all.contains(folder)) {
            let owner = "the same export as a file, and as the folder of another".to_owned();
            return Err(GitError::Collision { path: file.to_owned(), owner });
        }
    }
    Ok(())
}

/// The tree under construction and the changes of its record.
struct Edit<'a> {
    repo: &'a Repository,
    job: &'a JobHandle,
    record: &'a str,
    tree: Option<Oid>,
    changes: Vec<RecordChange>,
    bytes: u64,
}

impl Edit<'_> {
    fn delete(
        &mut self,
        snapshot: &mut Snapshot<'_>,
        ownership: &mut OwnershipRecord,
        item: &BindingBatch,
    ) -> Result<(), GitError> {
        let mut gone = Vec::new();
        if item.forget {
            gone.extend(ownership.all(snapshot)?.iter().map(|(path, _)| path.clone()));
        }
        for change in &item.batch.changes {
            // A file that is not in the record is not deleted.
            if let FileChange::Delete { path } = change
                && !item.forget
                && ownership.get(snapshot, path)?.is_some()
            {
                gone.push(path.clone());
            }
        }
        let mut update = TreeUpdateBuilder::new();
        let mut any = false;
        for path in gone {
            self.step()?;
            if matches!(snapshot.find(&path)?, TreeEntry::Blob(_) | TreeEntry::Other) {
                update.remove(&*path);
                any = true;
            }
            self.changes.push(RecordChange::Delete { path });
        }
        if any { self.update(update) } else { Ok(()) }
    }

    fn put(
        &mut self,
        snapshot: &mut Snapshot<'_>,
        ownership: &mut OwnershipRecord,
        item: &BindingBatch,
    ) -> Result<(), GitError> {
        let mut bodies = Vec::new();
        for change in &item.batch.changes {
            let FileChange::Put { path, digest, body } = change else { continue };
            self.step()?;
            if !is_path(path, self.record) {
                return Err(GitError::Path { path: path.to_string() });
            }
            self.check_owner(snapshot, ownership, path)?;
            bodies.push((path, *digest, &**body));
        }
        if bodies.is_empty() {
            return Ok(());
        }
        check_nesting(bodies.iter().map(|(path, ..)| &***path))?;
        let mut update = TreeUpdateBuilder::new();
        blobs::write(self.repo, self.job, &bodies, |path, digest, blob, length| {
            self.bytes += length;
            update.upsert(&**path, blob, FileMode::Blob);
            let entry = RecordEntry { digest, tag: blob.to_string().into() };
            self.changes.push(RecordChange::Put { path: path.clone(), entry });
        })?;
        self.update(update)
    }

    fn check_owner(
        &self,
        snapshot: &mut Snapshot<'_>,
        ownership: &mut OwnershipRecord,
        path: &str,
    ) -> Result<(), GitError> {
        let owner = match snapshot.find(path)? {
            TreeEntry::Absent => return Ok(()),
            TreeEntry::Blob(_) if ownership.get(snapshot, path)?.is_some() => return Ok(()),
            TreeEntry::Blob(_) => owner_of(snapshot, self.record, path)?,
            TreeEntry::Tree(_) => "a folder with that name".to_owned(),
            TreeEntry::Blocked => "a file where a folder is needed".to_owned(),
            TreeEntry::Other => "a link or submodule with that name".to_owned(),
        };
        Err(GitError::Collision { path: path.to_owned(), owner })
    }

    /// Writes the changed files of the record; returns the finished tree.
    fn keep_record(mut self, snapshot: &mut Snapshot<'_>, ownership: OwnershipRecord) -> Result<Option<Oid>, GitError> {
        let files = ownership.apply(snapshot, std::mem::take(&mut self.changes))?;
        if !files.deletes.is_empty() {
            let mut update = TreeUpdateBuilder::new();
            for suffix in &files.deletes {
                update.remove(format!("{}{suffix}", self.record));
            }
            self.update(update)?;
        }
        if !files.writes.is_empty() {
            let mut update = TreeUpdateBuilder::new();
            for (suffix, bytes) in &files.writes {
                let blob = self.repo.blob(bytes).map_err(local)?;
                update.upsert(format!("{}{suffix}", self.record), blob, FileMode::Blob);
            }
            self.update(update)?;
        }
        kill_point("record_written");
        Ok(self.tree)
    }

    fn update(&mut self, mut update: TreeUpdateBuilder) -> Result<(), GitError> {
        let onto = match self.tree {
            Some(tree) => tree,
            None => self.repo.treebuilder(None).and_then(|builder| builder.write()).map_err(local)?,
        };
        let onto = self.repo.find_tree(onto).map_err(local)?;
        self.tree = Some(update.create_updated(self.repo, &onto).map_err(local)?);
        self.step()
    }

    fn step(&self) -> Result<(), GitError> {
        self.job.tick();
        self.job.check()
    }
}

fn commit(repo: &Repository, parent: Option<Oid>, tree: Oid, batch: &FileBatch) -> Result<Oid, GitError> {
    let or = |text: &str, default: &str| {
        // Git's separators in a name would make the commit unparsable.
        let clean: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).collect();
        if clean.trim().is_empty() { default.to_owned() } else { clean.trim().to_owned() }
    };
    let who = Signature::now(&or(&batch.author_name, "kollect"), &or(&batch.author_email, "kollect@kollect.dev"))
        .map_err(local)?;
    let tree = repo.find_tree(tree).map_err(local)?;
    let parent = parent.map(|id| repo.find_commit(id)).transpose().map_err(local)?;
    let parents: Vec<_> = parent.iter().collect();
    let message = batch.message.replace('\0', "");
    repo.commit(None, &who, &who, &message, &tree, &parents).map_err(local)
}

/// The owner of a file, for the message.
fn owner_of(snapshot: &mut Snapshot<'_>, ours: &str, path: &str) -> Result<String, GitError> {
    let folder = ours.split('/').next().unwrap_or(ours);
    for record in records(snapshot, folder)? {
        if record != ours && OwnershipRecord::open(snapshot, &record)?.get(snapshot, path)?.is_some() {
            let parts: Vec<&str> = record.split('/').collect();
            return Ok(match parts.as_slice() {
                [_, cluster, namespace, name, sink] => {
                    format!("inventory {namespace}/{name} (cluster {cluster}, sink {sink})")
                }
                _ => record,
            });
        }
    }
    Ok("something other than Kollect (no record lists it)".to_owned())
}

/// Every record in the tree: `<folder>/<cluster>/<namespace>/<name>/<sink>`.
fn records(snapshot: &mut Snapshot<'_>, folder: &str) -> Result<Vec<String>, GitError> {
    let mut level = vec![folder.to_owned()];
    for _ in 0..4 {
        let mut below = Vec::new();
        for path in level {
            let TreeEntry::Tree(id) = snapshot.find(&path)? else { continue };
            let tree = snapshot.repo.find_tree(id).map_err(local)?;
            below.extend(tree.iter().filter_map(|entry| Some(format!("{path}/{}", entry.name().ok()?))));
        }
        level = below;
    }
    Ok(level)
}

/// Whether Git accepts the path and it is outside of the folder of the records.
fn is_path(path: &str, record: &str) -> bool {
    let part_ok = |part: &str| {
        !matches!(part, "" | "." | "..") && !part.eq_ignore_ascii_case(".git") && !part.eq_ignore_ascii_case("git~1")
    };
    path.len() <= MAX_PATH
        && !path.contains(['\0', '\\'])
        && path.split('/').all(part_ok)
        && path.split('/').next() != record.split('/').next()
}
