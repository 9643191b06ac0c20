//! Reads the directory: records, owners of paths, contents of files; checks the paths of files.

use crate::error::{collision, failed, failed_below};
use crate::folder::{Folder, FolderError, split};
use kollect_export::SinkError;
use kollect_export::layout::Record;
use kollect_model::Digest;
use rustix::fs::FileType;
use std::io::{self, Read as _};
use std::path::PathBuf;

/// Top folder of the ownership records and of unfinished files.
pub(crate) const RECORDS: &str = ".kollect";
/// Prefix of the folders of unfinished files, one per process.
pub(crate) const UNFINISHED: &str = ".tmp-";

/// The directory below which files are written.
#[derive(Clone, Debug)]
pub(crate) struct SinkDirectory {
    pub(crate) root: PathBuf,
}

/// Fails for a path outside of the directory or inside of [`RECORDS`].
pub(crate) fn check_path(path: &str) -> Result<(), SinkError> {
    let plain = !path.is_empty()
        && path.split('/').all(|segment| !matches!(segment, "" | "." | "..") && !segment.contains(['\0', '\\']))
        && !path.split('/').next().is_some_and(|first| first.eq_ignore_ascii_case(RECORDS));
    if plain {
        return Ok(());
    }
    Err(SinkError::terminal("write", format!("{path:?} is not a path for a file: {RECORDS} keeps the records")))
}

impl SinkDirectory {
    /// The directory; `None` when it does not exist.
    pub(crate) fn open(&self) -> Result<Option<Folder>, SinkError> {
        match Folder::root(&self.root) {
            Ok(root) => Ok(Some(root)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", "opening", &self.root, &error)),
        }
    }

    /// The error of an attempt on `path`.
    pub(crate) fn failed(&self, stage: &'static str, doing: &str, path: &str, why: FolderError) -> SinkError {
        failed_below(stage, doing, &self.root, path, why)
    }

    /// Reads a record: one file, or a folder of files as other sinks write them.
    pub(crate) fn record(&self, path: &str) -> Result<Record, SinkError> {
        let Some(root) = self.open()? else { return Ok(Record::default()) };
        let failed = |why| self.failed("record", "reading", path, why);
        let mut record = Record::default();
        let (above, name) = split(path);
        let folder = match root.open(above) {
            Ok(folder) => folder,
            Err(why) if why.is_absent() => return Ok(record),
            Err(why) => return Err(failed(why)),
        };
        let mut files = Vec::new();
        match folder.kind(name).map_err(failed)? {
            None => return Ok(record),
            Some(kind) if kind.is_symlink() => return Err(failed(FolderError::Link(path.to_owned()))),
            Some(kind) if kind.is_dir() => {
                let shards = folder.open(name).map_err(failed)?;
                for shard in shards.names().map_err(failed)? {
                    let bytes = shards.read(&shard).map_err(failed)?;
                    files.push((format!("/{shard}"), bytes.unwrap_or_default()));
                }
            }
            Some(_) => files.push((String::new(), folder.read(name).map_err(failed)?.unwrap_or_default())),
        }
        for (suffix, bytes) in files {
            let read = record.read(&suffix, &bytes);
            let at = self.root.join(path);
            read.map_err(|error| SinkError::terminal("record", format!("{}: {error}", at.display())))?;
        }
        Ok(record)
    }

    /// The digest of a file's content; `None` when there is no such file.
    pub(crate) fn tag(&self, path: &str) -> Result<Option<String>, SinkError> {
        Ok(self.content(path, u64::MAX)?.map(|bytes| tag_of(&bytes)))
    }

    /// Content of a file; more than `limit` bytes are refused.
    pub(crate) fn content(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, SinkError> {
        check_path(path)?;
        let Some(root) = self.open()? else { return Ok(None) };
        let (above, name) = split(path);
        let mut file = match root.open(above).and_then(|folder| folder.file(name)) {
            Ok(Some(file)) => file,
            // A link is not the file that was written.
            Ok(None) | Err(FolderError::Link(_)) => return Ok(None),
            Err(why) if why.is_absent() => return Ok(None),
            Err(why) => return Err(self.failed("read", "reading", path, why)),
        };
        let failed = |error: io::Error| self.failed("read", "reading", path, error.into());
        let length = file.metadata().map_err(failed)?.len();
        if length > limit {
            return Err(SinkError::too_large_to_read(path, length));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(bytes))
    }

    /// Fails when the path exists and the record does not list it, or when a part of it is a link.
    pub(crate) fn check_owner(&self, own: &Record, path: &str) -> Result<(), SinkError> {
        check_path(path)?;
        let Some(root) = self.open()? else { return Ok(()) };
        let failed = |why| self.failed("write", "inspecting", path, why);
        let (above, name) = split(path);
        let kind = match root.open(above).and_then(|folder| folder.kind(name)) {
            Ok(kind) => kind,
            Err(why) if why.is_absent() => return Ok(()),
            Err(why) => return Err(failed(why)),
        };
        match kind {
            None => Ok(()),
            Some(kind) if kind.is_symlink() => Err(failed(FolderError::Link(path.to_owned()))),
            Some(_) if own.get(path).is_some() => Ok(()),
            // The rename over a folder fails, unless the batch's own deletions have removed that folder.
            Some(kind) if kind.is_dir() => Ok(()),
            Some(_) => {
                let owner = owner_of(&root, path);
                Err(collision(path, owner.as_deref().unwrap_or("something other than Kollect (no record lists it)")))
            }
        }
    }
}

/// The record that lists the path.
fn owner_of(root: &Folder, path: &str) -> Option<String> {
    let mut folders = vec![RECORDS.to_owned()];
    while let Some(at) = folders.pop() {
        let folder = root.open(&at).ok()?;
        for name in folder.names().ok()?.into_iter().filter(|name| !name.starts_with(UNFINISHED)) {
            let entry = format!("{at}/{name}");
            if folder.kind(&name).ok().flatten().is_some_and(FileType::is_dir) {
                folders.push(entry);
            } else if let Ok(Some(bytes)) = folder.read(&name)
                && Record::parse([("", bytes.as_slice())]).is_ok_and(|record| record.get(path).is_some())
            {
                return Some(entry);
            }
        }
    }
    None
}

/// The tag of a content in the record, by which a changed file is detected.
pub(crate) fn tag_of(content: &[u8]) -> String {
    Digest::of(content).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_directory_and_out_of_the_records() {
        assert!(check_path("a/b.yaml").is_ok());
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", ".kollect/x", ".Kollect/x", "a\\b", "a\0"] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
    }
}
