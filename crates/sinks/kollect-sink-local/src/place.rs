//! The directory as it is: what a record lists, who owns a path, what a file holds. Reads only.
//!
//! Separate from writing so that a dry run can ask the same questions. Paths of files are checked here, before anything
//! is made of them.

use crate::error::{collision, failed};
use kollect_export::SinkError;
use kollect_export::layout::Record;
use kollect_model::Digest;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Top folder of the ownership records, and of files that are being written.
pub(crate) const RECORDS: &str = ".kollect";
/// Names of folders with files that are being written begin so.
pub(crate) const UNFINISHED: &str = ".tmp-";

/// A directory below which files are kept.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) root: PathBuf,
}

impl Place {
    /// Where a file of a layout is. Refuses what leaves the directory or goes into the records.
    pub(crate) fn file(&self, path: &str) -> Result<PathBuf, SinkError> {
        let plain = !path.is_empty()
            && path.split('/').all(|segment| !matches!(segment, "" | "." | "..") && !segment.contains(['\0', '\\']))
            && !path.split('/').next().is_some_and(|first| first.eq_ignore_ascii_case(RECORDS));
        if plain {
            return Ok(self.root.join(path));
        }
        Err(SinkError::terminal("write", format!("{path:?} is not a path for a file: {RECORDS} keeps the records")))
    }

    /// Refuses a path that leads through a symbolic link, which could lead anywhere.
    pub(crate) fn check_links(&self, path: &str) -> Result<(), SinkError> {
        let mut at = self.root.clone();
        for segment in path.split('/') {
            at.push(segment);
            match fs::symlink_metadata(&at) {
                Ok(meta) if meta.file_type().is_symlink() => {
                    let what = at.strip_prefix(&self.root).unwrap_or(&at).display().to_string();
                    return Err(collision(path, &format!("whoever made the symbolic link {what}")));
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Reads a record: one file, or a folder of files as other sinks write them.
    pub(crate) fn record(&self, record: &str) -> Result<Record, SinkError> {
        let path = self.root.join(record);
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        match fs::read(&path) {
            Ok(bytes) => files.push((String::new(), bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.reachable(&path)?,
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                for name in names(&path).map_err(|error| failed("record", "reading", &path, &error))? {
                    let shard = path.join(&name);
                    let bytes = fs::read(&shard).map_err(|error| failed("record", "reading", &shard, &error))?;
                    files.push((format!("/{name}"), bytes));
                }
            }
            Err(error) => return Err(failed("record", "reading", &path, &error)),
        }
        Record::parse(files.iter().map(|(suffix, bytes)| (suffix.as_str(), bytes.as_slice())))
            .map_err(|error| SinkError::terminal("record", format!("{}: {error}", path.display())))
    }

    /// "Not found" proves an empty record only if the directory itself can be looked at.
    fn reachable(&self, path: &Path) -> Result<(), SinkError> {
        match fs::metadata(&self.root) {
            Ok(meta) if meta.is_dir() => Ok(()),
            Ok(_) => Err(failed("record", "reading", path, &io::ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("record", "reading", path, &error)),
        }
    }

    /// The name of a file's content; `None` when there is no such file.
    pub(crate) fn tag(&self, path: &str) -> Result<Option<String>, SinkError> {
        Ok(self.content(path, u64::MAX)?.map(|bytes| tag_of(&bytes)))
    }

    /// Content of a file; more than `limit` bytes are refused.
    pub(crate) fn content(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, SinkError> {
        let file = self.file(path)?;
        match fs::metadata(&file) {
            Ok(meta) if !meta.is_file() => return Ok(None),
            Ok(meta) if meta.len() > limit => return Err(SinkError::too_large_to_read(path, meta.len())),
            Ok(_) => {}
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(failed("read", "reading", &file, &error)),
        }
        match fs::read(&file) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(failed("read", "reading", &file, &error)),
        }
    }

    /// Fails when something is at the path that the record does not list.
    pub(crate) fn check_owner(&self, own: &Record, path: &str) -> Result<(), SinkError> {
        let file = self.file(path)?;
        self.check_links(path)?;
        if own.get(path).is_some() {
            return Ok(());
        }
        match fs::symlink_metadata(&file) {
            // A folder at the path is told when the file is put there, unless our own deletions empty it.
            Ok(meta) if meta.is_dir() => Ok(()),
            Ok(_) => {
                let owner = self.owner_of(path);
                Err(collision(path, owner.as_deref().unwrap_or("somebody other than Kollect (no record lists it)")))
            }
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(failed("write", "looking at", &file, &error)),
        }
    }

    /// The record that lists the path.
    fn owner_of(&self, path: &str) -> Option<String> {
        let mut folders = vec![self.root.join(RECORDS)];
        while let Some(folder) = folders.pop() {
            for name in names(&folder).ok()?.into_iter().filter(|name| !name.starts_with(UNFINISHED)) {
                let entry = folder.join(name);
                if entry.is_dir() {
                    folders.push(entry);
                } else if let Ok(bytes) = fs::read(&entry)
                    && Record::parse([("", bytes.as_slice())]).is_ok_and(|record| record.get(path).is_some())
                {
                    return Some(entry.strip_prefix(&self.root).unwrap_or(&entry).display().to_string());
                }
            }
        }
        None
    }
}

/// The name of a content: tells whether somebody else changed the file.
pub(crate) fn tag_of(content: &[u8]) -> String {
    Digest::of(content).to_string()
}

/// Nothing is there; also when a file is where a folder would be.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Names in a folder, sorted; none when there is no such folder.
pub(crate) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_directory_and_out_of_the_records() {
        let place = Place { root: PathBuf::from("out") };
        assert_eq!(place.file("a/b.yaml").unwrap(), Path::new("out/a/b.yaml"));
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", ".kollect/x", ".Kollect/x", "a\\b", "a\0"] {
            assert!(place.file(bad).is_err(), "{bad:?}");
        }
    }
}
