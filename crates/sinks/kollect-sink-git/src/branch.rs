//! Reads the branch: files of a record, and whether another writer changed them.

use crate::branch_state::{Tip, VerifiedRecord};
use crate::branch_writer::BranchWriter;
use crate::error::GitError;
use crate::ownership_record::OwnershipRecord;
use crate::snapshot::{Snapshot, TreeEntry};
use crate::tree::{BindingBatch, BuiltCommit};
use git2::{Oid, Repository};
use kollect_export::{HeldFile, LARGEST_READ};

/// A file of the branch.
pub(crate) enum BranchFile {
    Absent,
    Whole(Vec<u8>),
    /// Size in bytes.
    TooLarge(u64),
}

impl BranchWriter<'_> {
    /// The files in the record at `path`, compared with the branch as it is now.
    pub(crate) fn held(&mut self, path: &str) -> Result<Vec<HeldFile>, GitError> {
        let (files, entry) = self.again_if_damaged(|writer| {
            writer.refresh()?;
            writer.read_record(path)
        })?;
        self.state.verified.insert(path.to_owned(), VerifiedRecord { moves: self.state.moves, entry });
        Ok(files)
    }

    fn read_record(&mut self, path: &str) -> Result<(Vec<HeldFile>, Option<Oid>), GitError> {
        let job = self.job.clone();
        let (repo, base) = self.base()?;
        let mut snapshot = Snapshot::open(repo, base.map(|(_, tree)| tree))?;
        let ownership = OwnershipRecord::open(&mut snapshot, path)?;
        let record = ownership.all(&mut snapshot)?;
        let mut files = Vec::with_capacity(record.len());
        for (path, entry) in record.iter() {
            job.tick();
            let intact = is_intact(&mut snapshot, path, &entry.tag)?;
            files.push(HeldFile { path: path.clone(), digest: intact.then_some(entry.digest) });
        }
        Ok((files, ownership.entry))
    }

    /// A file of the record as it is in the branch that was last fetched.
    pub(crate) fn read(&mut self, record: &str, path: &str) -> Result<BranchFile, GitError> {
        self.again_if_damaged(|writer| {
            // Usually `held` has just fetched the branch with these credentials.
            if writer.state.tip == Tip::Unknown || writer.state.read_by.as_deref() != Some(writer.auth()) {
                writer.refresh()?;
            }
            writer.read_file(record, path)
        })
    }

    fn read_file(&mut self, record: &str, path: &str) -> Result<BranchFile, GitError> {
        let job = self.job.clone();
        let (repo, base) = self.base()?;
        let mut snapshot = Snapshot::open(repo, base.map(|(_, tree)| tree))?;
        let owned = OwnershipRecord::open(&mut snapshot, record)?.get(&mut snapshot, path)?.is_some();
        let TreeEntry::Blob(id) = snapshot.find(path)? else { return Ok(BranchFile::Absent) };
        if !owned {
            return Ok(BranchFile::Absent);
        }
        let size = snapshot.size(id)?;
        let content =
            if size > LARGEST_READ { BranchFile::TooLarge(size) } else { BranchFile::Whole(snapshot.content(id)?) };
        job.tick();
        Ok(content)
    }

    pub(crate) fn remember(&mut self, item: &BindingBatch, built: &BuiltCommit) {
        if item.forget {
            self.state.verified.remove(&item.batch.record);
        } else {
            let compared = VerifiedRecord { moves: self.state.moves, entry: built.entry };
            self.state.verified.insert(item.batch.record.clone(), compared);
        }
    }

    fn again_if_damaged<T>(&mut self, step: impl Fn(&mut Self) -> Result<T, GitError>) -> Result<T, GitError> {
        match step(self) {
            Err(failure) if failure.is_local() => {
                self.start_over(&failure)?;
                step(self)
            }
            done => done,
        }
    }

    /// The last comparison of the record, if another writer moved the branch after it.
    pub(crate) fn outdated(&self, record: &str) -> Option<VerifiedRecord> {
        self.state.verified.get(record).copied().filter(|compared| compared.moves != self.state.moves)
    }
}

/// Fails when another writer changed the record or a file in it. O(record), so it is called only after the branch moved.
pub(crate) fn check_unchanged(
    repo: &Repository,
    tree: Option<Oid>,
    path: &str,
    compared: VerifiedRecord,
) -> Result<(), GitError> {
    let mut snapshot = Snapshot::open(repo, tree)?;
    let ownership = OwnershipRecord::open(&mut snapshot, path)?;
    if ownership.entry != compared.entry {
        return Err(GitError::Disturbed);
    }
    for (path, entry) in ownership.all(&mut snapshot)?.iter() {
        if !is_intact(&mut snapshot, path, &entry.tag)? {
            return Err(GitError::Disturbed);
        }
    }
    Ok(())
}

fn is_intact(snapshot: &mut Snapshot<'_>, path: &str, tag: &str) -> Result<bool, GitError> {
    Ok(matches!(snapshot.find(path)?, TreeEntry::Blob(id) if Oid::from_str(tag).is_ok_and(|tag| tag == id)))
}
