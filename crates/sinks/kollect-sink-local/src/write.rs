//! Writes a batch so that the process may end at any moment.
//!
//! The record names new files before they exist, and keeps the names of deleted ones until they are gone. So a file of
//! ours is always in the record, and the next run finishes what is left. A file appears under its name only when it is
//! complete. Written for a process that is killed, not for a power cut: contents are compared on the next run anyway.

use crate::error::failed;
use crate::folder::{Folder, Trouble, split};
use crate::place::{Place, RECORDS, UNFINISHED, check_path, tag_of};
use kollect_export::layout::{Record, RecordChange, RecordEntry};
use kollect_export::{FileBatch, FileChange, Receipt, SinkError, kill_point};
use rustix::fs::FileType;
use std::fs::{self, File, TryLockError};
use std::io::{BufWriter, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long another writer is waited for, and how often it is looked for.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What a batch needs besides itself.
pub(crate) struct Writing {
    pub(crate) place: Place,
    pub(crate) dry_run: bool,
    pub(crate) cancel: CancellationToken,
    /// Counts files, for a deadline without progress.
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

impl Writing {
    /// Writes and deletes what the batch says.
    pub(crate) fn apply(&self, batch: &FileBatch) -> Result<Receipt, SinkError> {
        let record = self.place.record(&batch.record)?;
        for change in &batch.changes {
            if let FileChange::Put { path, .. } = change {
                self.place.check_owner(&record, path)?;
            }
        }
        if self.dry_run {
            return Ok(Receipt { rows: batch.changes.len() as u64, ..Receipt::default() });
        }
        let taken = self.begin()?;
        let outcome = self.write(batch, record, &taken);
        taken.tidy();
        outcome
    }

    /// Removes all files of a record, and the record.
    pub(crate) fn forget(&self, batch: &FileBatch) -> Result<Receipt, SinkError> {
        let mut record = self.place.record(&batch.record)?;
        if record.is_empty() || self.dry_run {
            return Ok(Receipt { rows: record.len() as u64, ..Receipt::default() });
        }
        let taken = self.begin()?;
        let paths: Vec<Arc<str>> = record.iter().map(|(path, _)| path.clone()).collect();
        for path in &paths {
            self.delete(&taken, path)?;
        }
        let rows = paths.len() as u64;
        record.apply(paths.into_iter().map(|path| RecordChange::Delete { path }));
        self.keep_record(&batch.record, &record, &taken)?;
        taken.tidy();
        Ok(Receipt { rows, ..Receipt::default() })
    }

    fn write(&self, batch: &FileBatch, mut record: Record, taken: &Taken) -> Result<Receipt, SinkError> {
        let mut receipt = Receipt::default();
        let (deletes, prepared) = self.prepare(batch, &record, taken)?;
        receipt.rows = (deletes.len() + prepared.len()) as u64;
        receipt.bytes = prepared.iter().map(|file| file.bytes).sum();
        let put = |file: &Prepared| RecordChange::Put { path: file.path.clone(), entry: file.entry.clone() };
        record.apply(prepared.iter().map(put));
        self.keep_record(&batch.record, &record, taken)?;
        kill_point("local_record_written");
        for path in &deletes {
            self.go_on()?;
            self.delete(taken, path).map_err(SinkError::maybe_landed)?;
        }
        for file in &prepared {
            self.go_on().map_err(SinkError::maybe_landed)?;
            self.publish(taken, file).map_err(SinkError::maybe_landed)?;
            kill_point("local_file_written");
        }
        if !deletes.is_empty() {
            record.apply(deletes.into_iter().map(|path| RecordChange::Delete { path }));
            self.keep_record(&batch.record, &record, taken).map_err(SinkError::maybe_landed)?;
        }
        Ok(receipt)
    }

    /// Writes the new contents beside the directory's files. Of the deletions, those of our own files.
    fn prepare(
        &self,
        batch: &FileBatch,
        record: &Record,
        taken: &Taken,
    ) -> Result<(Vec<Arc<str>>, Vec<Prepared>), SinkError> {
        let (mut deletes, mut prepared) = (Vec::new(), Vec::new());
        for change in &batch.changes {
            self.go_on()?;
            match change {
                FileChange::Delete { path } if record.get(path).is_some() => deletes.push(path.clone()),
                FileChange::Delete { .. } => {}
                FileChange::Put { path, digest, body } => {
                    let unfinished = prepared.len().to_string();
                    let mut bytes = Vec::new();
                    body.write_to(&mut bytes)
                        .map_err(|error| SinkError::terminal("render", format!("cannot write {path}: {error}")))?;
                    let written = taken.unfinished.new_file(&unfinished).and_then(|mut f| Ok(f.write_all(&bytes)?));
                    written.map_err(|why| self.place.failed("write", "writing", path, why))?;
                    let entry = RecordEntry { digest: *digest, tag: tag_of(&bytes).into() };
                    prepared.push(Prepared { path: path.clone(), unfinished, entry, bytes: bytes.len() as u64 });
                }
            }
        }
        Ok((deletes, prepared))
    }

    fn publish(&self, taken: &Taken, file: &Prepared) -> Result<(), SinkError> {
        check_path(&file.path)?;
        let (above, name) = split(&file.path);
        let put = || {
            let folder = taken.root.create(above)?;
            refuse_link(&folder, name, &file.path)?;
            taken.unfinished.rename(&file.unfinished, &folder, name)
        };
        put().map_err(|why| self.place.failed("write", "writing", &file.path, why))?;
        self.moved.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Deletes a file, and the folders that are empty then.
    fn delete(&self, taken: &Taken, path: &str) -> Result<(), SinkError> {
        check_path(path)?;
        let (above, name) = split(path);
        let delete = || {
            let folder = taken.root.open(above)?;
            refuse_link(&folder, name, path)?;
            folder.remove_file(name)
        };
        match delete() {
            Err(why) if !why.is_absent() => return Err(self.place.failed("delete", "deleting", path, why)),
            _ => {}
        }
        self.moved.fetch_add(1, Ordering::Relaxed);
        taken.root.remove_empty(above, 0);
        Ok(())
    }

    /// The record is one file whatever its size, so that it is replaced in one step.
    fn keep_record(&self, path: &str, record: &Record, taken: &Taken) -> Result<(), SinkError> {
        let (above, name) = split(path);
        if record.is_empty() {
            return self.drop_record(path, taken);
        }
        let write = || {
            let mut out = BufWriter::new(taken.unfinished.new_file("record")?);
            for (_, bytes) in record.to_files() {
                out.write_all(&bytes)?;
            }
            out.flush()?;
            let folder = taken.root.create(above)?;
            if folder.kind(name)?.is_some_and(FileType::is_dir) {
                // Written in pieces by another sink.
                folder.remove_all(name)?;
            }
            refuse_link(&folder, name, path)?;
            taken.unfinished.rename("record", &folder, name)
        };
        write().map_err(|why| self.place.failed("record", "writing", path, why))
    }

    fn drop_record(&self, path: &str, taken: &Taken) -> Result<(), SinkError> {
        let (above, name) = split(path);
        match taken.root.open(above).and_then(|folder| folder.remove_all(name)) {
            Err(why) if !why.is_absent() => return Err(self.place.failed("record", "deleting", path, why)),
            _ => {}
        }
        taken.root.remove_empty(above, 1);
        Ok(())
    }

    fn go_on(&self) -> Result<(), SinkError> {
        if self.cancel.is_cancelled() {
            return Err(SinkError::transient("write", "stopped before everything was written; run it again"));
        }
        Ok(())
    }

    /// Takes the directory for this process, and a fresh folder for files that are being written.
    fn begin(&self) -> Result<Taken, SinkError> {
        let at = &self.place.root;
        fs::create_dir_all(at).map_err(|error| failed("write", "creating", at, &error))?;
        let root = Folder::root(at).map_err(|error| failed("write", "opening", at, &error))?;
        let opening = |why| self.place.failed("write", "opening", RECORDS, why);
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
        let unfinished = clear().map_err(|why| self.place.failed("write", "creating", RECORDS, why))?;
        Ok(Taken { root, records, own, unfinished, _lock: lock })
    }

    /// Waits a moment for another writer. A program that is just being started holds copies of all locks of its starter.
    fn lock(&self, lock: &File) -> Result<(), SinkError> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if Instant::now() < give_up => std::thread::sleep(LOOK_AGAIN),
                Err(TryLockError::WouldBlock) => {
                    let why = format!("another kollect is writing to {}; run it again", self.place.root.display());
                    return Err(SinkError::transient("write", why));
                }
                Err(TryLockError::Error(error)) => return Err(failed("write", "locking", &self.place.root, &error)),
            }
            self.go_on()?;
        }
    }
}

/// The directory while it is ours.
struct Taken {
    root: Folder,
    records: Folder,
    own: String,
    /// Where files are written before they get their names.
    unfinished: Folder,
    _lock: File,
}

impl Taken {
    /// Removes what was not given a name. What stays is removed by the next run.
    fn tidy(&self) {
        let _ = self.records.remove_all(&self.own);
    }
}

/// A link would be replaced and not followed, but it is not ours to replace.
fn refuse_link(folder: &Folder, name: &str, path: &str) -> Result<(), Trouble> {
    match folder.kind(name)? {
        Some(kind) if kind.is_symlink() => Err(Trouble::Link(path.to_owned())),
        _ => Ok(()),
    }
}
