//! Writes a batch in an order that leaves a consistent record when the process is killed at any step.
//!
//! The record lists new files before they exist and deleted ones until they are removed, so every file of the binding is
//! in the record and the next run finishes the batch. A file gets its name only when it is complete. There is no fsync:
//! after a power cut the next run's comparison of contents repairs the difference.

use crate::directory::{RECORDS, SinkDirectory, UNFINISHED, check_path, tag_of};
use crate::error::failed;
use crate::folder::{Folder, FolderError, split};
use kollect_export::layout::{Record, RecordChange, RecordEntry};
use kollect_export::{FileBatch, FileChange, Receipt, SinkError, kill_point};
use rustix::fs::FileType;
use std::fs::{self, File, TryLockError};
use std::io::{BufWriter, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Limit of the wait for another writer's lock, and the interval between attempts.
const PATIENCE: Duration = Duration::from_secs(2);
const RETRY_EVERY: Duration = Duration::from_millis(10);

/// Writes one batch.
pub(crate) struct BatchWriter {
    pub(crate) directory: SinkDirectory,
    pub(crate) dry_run: bool,
    pub(crate) cancel: CancellationToken,
    /// Number of files written and deleted: the progress of the batch.
    pub(crate) moved: Arc<AtomicU64>,
}

/// A file that is complete but not yet under its name.
struct Prepared {
    path: Arc<str>,
    /// Its name in the folder of unfinished files.
    unfinished: String,
    entry: RecordEntry,
    bytes: u64,
}

impl BatchWriter {
    /// Applies the changes of the batch.
    pub(crate) fn apply(&self, batch: &FileBatch) -> Result<Receipt, SinkError> {
        let record = self.directory.record(&batch.record)?;
        for change in &batch.changes {
            if let FileChange::Put { path, .. } = change {
                self.directory.check_owner(&record, path)?;
            }
        }
        if self.dry_run {
            return Ok(Receipt { rows: batch.changes.len() as u64, ..Receipt::default() });
        }
        let locked = self.begin()?;
        let outcome = self.write(batch, record, &locked);
        locked.tidy();
        outcome
    }

    /// Removes all files of a record, and the record.
    pub(crate) fn forget(&self, batch: &FileBatch) -> Result<Receipt, SinkError> {
        let mut record = self.directory.record(&batch.record)?;
        if record.is_empty() || self.dry_run {
            return Ok(Receipt { rows: record.len() as u64, ..Receipt::default() });
        }
        let locked = self.begin()?;
        let paths: Vec<Arc<str>> = record.iter().map(|(path, _)| path.clone()).collect();
        for path in &paths {
            self.delete(&locked, path)?;
        }
        let rows = paths.len() as u64;
        record.apply(paths.into_iter().map(|path| RecordChange::Delete { path }));
        self.keep_record(&batch.record, &record, &locked)?;
        locked.tidy();
        Ok(Receipt { rows, ..Receipt::default() })
    }

    fn write(&self, batch: &FileBatch, mut record: Record, locked: &LockedDirectory) -> Result<Receipt, SinkError> {
        let mut receipt = Receipt::default();
        let (deletes, prepared) = self.prepare(batch, &record, locked)?;
        receipt.rows = (deletes.len() + prepared.len()) as u64;
        receipt.bytes = prepared.iter().map(|file| file.bytes).sum();
        let put = |file: &Prepared| RecordChange::Put { path: file.path.clone(), entry: file.entry.clone() };
        record.apply(prepared.iter().map(put));
        self.keep_record(&batch.record, &record, locked)?;
        kill_point("local_record_written");
        for path in &deletes {
            self.check_cancelled()?;
            self.delete(locked, path).map_err(SinkError::maybe_landed)?;
        }
        for file in &prepared {
            self.check_cancelled().map_err(SinkError::maybe_landed)?;
            self.publish(locked, file).map_err(SinkError::maybe_landed)?;
            kill_point("local_file_written");
        }
        if !deletes.is_empty() {
            record.apply(deletes.into_iter().map(|path| RecordChange::Delete { path }));
            self.keep_record(&batch.record, &record, locked).map_err(SinkError::maybe_landed)?;
        }
        Ok(receipt)
    }

    /// Writes the new contents as unfinished files. Returns the deletions of files in the record, and those files.
    fn prepare(
        &self,
        batch: &FileBatch,
        record: &Record,
        locked: &LockedDirectory,
    ) -> Result<(Vec<Arc<str>>, Vec<Prepared>), SinkError> {
        let (mut deletes, mut prepared) = (Vec::new(), Vec::new());
        for change in &batch.changes {
            self.check_cancelled()?;
            match change {
                FileChange::Delete { path } if record.get(path).is_some() => deletes.push(path.clone()),
                FileChange::Delete { .. } => {}
                FileChange::Put { path, digest, body } => {
                    let unfinished = prepared.len().to_string();
                    let mut bytes = Vec::new();
                    body.write_to(&mut bytes)
                        .map_err(|error| SinkError::terminal("render", format!("cannot write {path}: {error}")))?;
                    let written = locked.unfinished.new_file(&unfinished).and_then(|mut f| Ok(f.write_all(&bytes)?));
                    written.map_err(|why| self.directory.failed("write", "writing", path, why))?;
                    let entry = RecordEntry { digest: *digest, tag: tag_of(&bytes).into() };
                    prepared.push(Prepared { path: path.clone(), unfinished, entry, bytes: bytes.len() as u64 });
                }
            }
        }
        Ok((deletes, prepared))
    }

    fn publish(&self, locked: &LockedDirectory, file: &Prepared) -> Result<(), SinkError> {
        check_path(&file.path)?;
        let (above, name) = split(&file.path);
        let put = || {
            let folder = locked.root.create(above)?;
            refuse_link(&folder, name, &file.path)?;
            locked.unfinished.rename(&file.unfinished, &folder, name)
        };
        put().map_err(|why| self.directory.failed("write", "writing", &file.path, why))?;
        self.moved.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Deletes a file and its parent folders that become empty.
    fn delete(&self, locked: &LockedDirectory, path: &str) -> Result<(), SinkError> {
        check_path(path)?;
        let (above, name) = split(path);
        let delete = || {
            let folder = locked.root.open(above)?;
            refuse_link(&folder, name, path)?;
            folder.remove_file(name)
        };
        match delete() {
            Err(why) if !why.is_absent() => return Err(self.directory.failed("delete", "deleting", path, why)),
            _ => {}
        }
        self.moved.fetch_add(1, Ordering::Relaxed);
        locked.root.remove_empty(above, 0);
        Ok(())
    }

    /// Replaces the record. It is one file of any size, so that one rename replaces it.
    fn keep_record(&self, path: &str, record: &Record, locked: &LockedDirectory) -> Result<(), SinkError> {
        let (above, name) = split(path);
        if record.is_empty() {
            return self.drop_record(path, locked);
        }
        let write = || {
            let mut out = BufWriter::new(locked.unfinished.new_file("record")?);
            for (_, bytes) in record.to_files() {
                out.write_all(&bytes)?;
            }
            out.flush()?;
            let folder = locked.root.create(above)?;
            if folder.kind(name)?.is_some_and(FileType::is_dir) {
                // A sharded record, as the Git sink writes it.
                folder.remove_all(name)?;
            }
            refuse_link(&folder, name, path)?;
            locked.unfinished.rename("record", &folder, name)
        };
        write().map_err(|why| self.directory.failed("record", "writing", path, why))
    }

    fn drop_record(&self, path: &str, locked: &LockedDirectory) -> Result<(), SinkError> {
        let (above, name) = split(path);
        match locked.root.open(above).and_then(|folder| folder.remove_all(name)) {
            Err(why) if !why.is_absent() => return Err(self.directory.failed("record", "deleting", path, why)),
            _ => {}
        }
        locked.root.remove_empty(above, 1);
        Ok(())
    }

    fn check_cancelled(&self) -> Result<(), SinkError> {
        if self.cancel.is_cancelled() {
            return Err(SinkError::transient("write", "stopped before everything was written; run it again"));
        }
        Ok(())
    }

    /// Locks the directory and creates an empty folder for unfinished files.
    fn begin(&self) -> Result<LockedDirectory, SinkError> {
        let at = &self.directory.root;
        fs::create_dir_all(at).map_err(|error| failed("write", "creating", at, &error))?;
        let root = Folder::root(at).map_err(|error| failed("write", "opening", at, &error))?;
        let opening = |why| self.directory.failed("write", "opening", RECORDS, why);
        let records = root.create(RECORDS).map_err(opening)?;
        let lock = records.lockable().map_err(|error| opening(error.into()))?;
        self.lock(&lock)?;
        let own = format!("{UNFINISHED}{}", std::process::id());
        let clear = || {
            for old in records.names()?.iter().filter(|name| name.starts_with(UNFINISHED)) {
                records.remove_all(old)?;
            }
            records.create(&own)
        };
        let unfinished = clear().map_err(|why| self.directory.failed("write", "creating", RECORDS, why))?;
        Ok(LockedDirectory { root, records, own, unfinished, _lock: lock })
    }

    /// Takes the lock, waiting up to [`PATIENCE`]: between fork and exec a child process holds a copy of its parent's
    /// lock.
    fn lock(&self, lock: &File) -> Result<(), SinkError> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if Instant::now() < give_up => std::thread::sleep(RETRY_EVERY),
                Err(TryLockError::WouldBlock) => {
                    let why = format!("another kollect is writing to {}; run it again", self.directory.root.display());
                    return Err(SinkError::transient("write", why));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(failed("write", "locking", &self.directory.root, &error));
                }
            }
            self.check_cancelled()?;
        }
    }
}

/// The directory while this process holds its lock.
struct LockedDirectory {
    root: Folder,
    records: Folder,
    own: String,
    /// Folder of unfinished files.
    unfinished: Folder,
    _lock: File,
}

impl LockedDirectory {
    /// Removes unfinished files. [`BatchWriter::begin`] of the next run removes those that stay.
    fn tidy(&self) {
        let _ = self.records.remove_all(&self.own);
    }
}

/// Fails for a link: a rename would replace it, and the binding does not own it.
fn refuse_link(folder: &Folder, name: &str, path: &str) -> Result<(), FolderError> {
    match folder.kind(name)? {
        Some(kind) if kind.is_symlink() => Err(FolderError::Link(path.to_owned())),
        _ => Ok(()),
    }
}
