//! Writes a batch so that the process may end at any moment.
//!
//! Separate because the order is the point: the record names new files before they exist, and keeps the names of deleted
//! ones until they are gone. So a file of ours is always in the record, and the next run finishes what is left. A file
//! appears under its name only when it is complete. Written for a process that is killed, not for a power cut: contents
//! are compared on the next run anyway.

use crate::error::failed;
use crate::place::{Place, RECORDS, UNFINISHED, is_absent, names, tag_of};
use kollect_export::layout::{Entry, Record, RecordChange};
use kollect_export::{FileBatch, FileChange, Receipt, SinkError, kill_point};
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
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
    unfinished: PathBuf,
    entry: Entry,
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
        let folder = self.begin()?;
        let outcome = self.write(batch, record, &folder);
        // Left-overs are removed by the next run if not here.
        let _ = fs::remove_dir_all(&folder.path);
        outcome
    }

    /// Removes all files of a record, and the record.
    pub(crate) fn forget(&self, batch: &FileBatch) -> Result<Receipt, SinkError> {
        let mut record = self.place.record(&batch.record)?;
        if record.is_empty() || self.dry_run {
            return Ok(Receipt { rows: record.len() as u64, ..Receipt::default() });
        }
        let folder = self.begin()?;
        let paths: Vec<Arc<str>> = record.iter().map(|(path, _)| path.clone()).collect();
        for path in &paths {
            self.delete(path)?;
        }
        let rows = paths.len() as u64;
        record.apply(paths.into_iter().map(|path| RecordChange::Delete { path }));
        self.keep_record(&batch.record, &record, &folder)?;
        let _ = fs::remove_dir_all(&folder.path);
        Ok(Receipt { rows, ..Receipt::default() })
    }

    fn write(&self, batch: &FileBatch, mut record: Record, folder: &Folder) -> Result<Receipt, SinkError> {
        let mut receipt = Receipt::default();
        let (deletes, prepared) = self.prepare(batch, &record, folder)?;
        receipt.rows = (deletes.len() + prepared.len()) as u64;
        receipt.bytes = prepared.iter().map(|file| file.bytes).sum();
        let put = |file: &Prepared| RecordChange::Put { path: file.path.clone(), entry: file.entry.clone() };
        record.apply(prepared.iter().map(put));
        self.keep_record(&batch.record, &record, folder)?;
        kill_point("local_record_written");
        for path in &deletes {
            self.go_on()?;
            self.delete(path).map_err(SinkError::maybe_landed)?;
        }
        for file in &prepared {
            self.go_on().map_err(SinkError::maybe_landed)?;
            self.publish(file).map_err(SinkError::maybe_landed)?;
            kill_point("local_file_written");
        }
        if !deletes.is_empty() {
            record.apply(deletes.into_iter().map(|path| RecordChange::Delete { path }));
            self.keep_record(&batch.record, &record, folder).map_err(SinkError::maybe_landed)?;
        }
        Ok(receipt)
    }

    /// Writes the new contents beside the directory's files. Of the deletions, those of our own files.
    fn prepare(
        &self,
        batch: &FileBatch,
        record: &Record,
        folder: &Folder,
    ) -> Result<(Vec<Arc<str>>, Vec<Prepared>), SinkError> {
        let (mut deletes, mut prepared) = (Vec::new(), Vec::new());
        for change in &batch.changes {
            self.go_on()?;
            match change {
                FileChange::Delete { path } if record.get(path).is_some() => deletes.push(path.clone()),
                FileChange::Delete { .. } => {}
                FileChange::Put { path, digest, body } => {
                    let unfinished = folder.path.join(prepared.len().to_string());
                    let mut bytes = Vec::new();
                    body.write_to(&mut bytes)
                        .map_err(|error| SinkError::terminal("render", format!("cannot write {path}: {error}")))?;
                    fs::write(&unfinished, &bytes).map_err(|error| failed("write", "writing", &unfinished, &error))?;
                    let entry = Entry { digest: *digest, tag: tag_of(&bytes).into() };
                    prepared.push(Prepared { path: path.clone(), unfinished, entry, bytes: bytes.len() as u64 });
                }
            }
        }
        Ok((deletes, prepared))
    }

    fn publish(&self, file: &Prepared) -> Result<(), SinkError> {
        let target = self.place.file(&file.path)?;
        self.place.check_links(&file.path)?;
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|error| failed("write", "creating", parent, &error))?;
        }
        fs::rename(&file.unfinished, &target).map_err(|error| failed("write", "writing", &target, &error))?;
        self.moved.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Deletes a file, and the folders that are empty then.
    fn delete(&self, path: &str) -> Result<(), SinkError> {
        let file = self.place.file(path)?;
        self.place.check_links(path)?;
        match fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(failed("delete", "deleting", &file, &error)),
        }
        self.moved.fetch_add(1, Ordering::Relaxed);
        let within = |folder: &&Path| folder.starts_with(&self.place.root) && *folder != self.place.root;
        for folder in file.ancestors().skip(1).take_while(within) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The record is one file whatever its size, so that it is replaced in one step.
    fn keep_record(&self, path: &str, record: &Record, folder: &Folder) -> Result<(), SinkError> {
        let target = self.place.root.join(path);
        if record.is_empty() {
            return self.drop_record(&target);
        }
        let unfinished = folder.path.join("record");
        let writing = |error: io::Error| failed("record", "writing", &target, &error);
        let mut out = BufWriter::new(File::create(&unfinished).map_err(writing)?);
        for (_, bytes) in record.to_files() {
            out.write_all(&bytes).map_err(writing)?;
        }
        out.into_inner().map_err(|error| writing(error.into_error()))?;
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(writing)?;
        }
        if target.is_dir() {
            // Written in pieces by another sink.
            fs::remove_dir_all(&target).map_err(writing)?;
        }
        fs::rename(&unfinished, &target).map_err(writing)
    }

    fn drop_record(&self, target: &Path) -> Result<(), SinkError> {
        let removed = if target.is_dir() { fs::remove_dir_all(target) } else { fs::remove_file(target) };
        match removed {
            Ok(()) => {}
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(failed("record", "deleting", target, &error)),
        }
        let records = self.place.root.join(RECORDS);
        for folder in
            target.ancestors().skip(1).take_while(|folder| folder.starts_with(&records) && **folder != records)
        {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn go_on(&self) -> Result<(), SinkError> {
        if self.cancel.is_cancelled() {
            return Err(SinkError::transient("write", "stopped before everything was written; run it again"));
        }
        Ok(())
    }

    /// Takes the directory for this process, and a fresh folder for files that are being written.
    fn begin(&self) -> Result<Folder, SinkError> {
        let records = self.place.root.join(RECORDS);
        fs::create_dir_all(&records).map_err(|error| failed("write", "creating", &records, &error))?;
        let lock = File::open(&records).map_err(|error| failed("write", "opening", &records, &error))?;
        self.lock(&lock, &records)?;
        let left = names(&records).map_err(|error| failed("write", "reading", &records, &error))?;
        for name in left.iter().filter(|name| name.starts_with(UNFINISHED)) {
            let old = records.join(name);
            fs::remove_dir_all(&old).map_err(|error| failed("write", "deleting", &old, &error))?;
        }
        let path = records.join(format!("{UNFINISHED}{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| failed("write", "creating", &path, &error))?;
        Ok(Folder { path, _lock: lock })
    }

    /// Waits a moment for another writer. A program that is just being started holds copies of all locks of its starter.
    fn lock(&self, lock: &File, records: &Path) -> Result<(), SinkError> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if Instant::now() < give_up => std::thread::sleep(LOOK_AGAIN),
                Err(TryLockError::WouldBlock) => {
                    let why = format!("another kollect is writing to {}; run it again", self.place.root.display());
                    return Err(SinkError::transient("write", why));
                }
                Err(TryLockError::Error(error)) => return Err(failed("write", "locking", records, &error)),
            }
            self.go_on()?;
        }
    }
}

/// Where files are written before they get their names. The directory is ours until this is dropped.
struct Folder {
    path: PathBuf,
    _lock: File,
}
