//! File operations relative to an open folder that never follow a symbolic link below the root.
//!
//! Every step opens one name relative to an open descriptor, so a folder that is replaced by a link meanwhile cannot
//! redirect a write.

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, mkdirat, openat, renameat, statat, unlinkat};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Levels of folders that [`Folder::remove_all`] descends.
const MAX_DEPTH: u32 = 64;

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

/// Why a path could not be used.
#[derive(Debug)]
pub(crate) enum FolderError {
    /// This part of the path is a symbolic link.
    Link(String),
    Io(io::Error),
}

impl FolderError {
    /// Nothing exists at the path; also when a parent of it is a file.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Io(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
    }
}

impl From<rustix::io::Errno> for FolderError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

impl From<io::Error> for FolderError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The folders of a path and its last name.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl Folder {
    /// The folder at `path`, which the user chose: links in it are followed.
    pub(crate) fn root(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, FOLDER, Mode::empty())?))
    }

    /// The folder at a path below this one; an empty path is this one.
    pub(crate) fn open(&self, path: &str) -> Result<Self, FolderError> {
        self.walk(path, false)
    }

    /// As [`Folder::open`]; missing folders are created.
    pub(crate) fn create(&self, path: &str) -> Result<Self, FolderError> {
        self.walk(path, true)
    }

    fn walk(&self, path: &str, create: bool) -> Result<Self, FolderError> {
        let mut at = Self(self.0.try_clone()?);
        let mut done = 0;
        for name in path.split('/').filter(|_| !path.is_empty()) {
            if matches!(name, "" | "." | "..") {
                return Err(io::Error::from(io::ErrorKind::InvalidFilename).into());
            }
            done += name.len();
            if create && let Err(error) = mkdirat(&at.0, name, Mode::from_raw_mode(0o777)) {
                let there = error == rustix::io::Errno::EXIST;
                if !there {
                    return Err(error.into());
                }
            }
            at = match openat(&at.0, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(folder) => Self(folder),
                Err(_) if at.kind(name)?.is_some_and(FileType::is_symlink) => {
                    return Err(FolderError::Link(path[..done].to_owned()));
                }
                Err(error) => return Err(error.into()),
            };
            done += 1;
        }
        Ok(at)
    }

    /// Type of the entry `name`; `None` when it does not exist.
    pub(crate) fn kind(&self, name: &str) -> Result<Option<FileType>, FolderError> {
        match statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(about) => Ok(Some(FileType::from_raw_mode(about.st_mode))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A file, open for reading; `None` when it is a folder or something else that holds no bytes.
    pub(crate) fn file(&self, name: &str) -> Result<Option<File>, FolderError> {
        // Without NONBLOCK, opening a pipe blocks until a writer opens it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => {
                let file = File::from(file);
                Ok(file.metadata()?.is_file().then_some(file))
            }
            Err(rustix::io::Errno::LOOP) => Err(FolderError::Link(name.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// The content of a file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FolderError> {
        let Some(mut file) = self.file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Creates a file; fails when the name exists.
    pub(crate) fn new_file(&self, name: &str) -> Result<File, FolderError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.0, name, flags, Mode::from_raw_mode(0o666))?))
    }

    /// Moves a file to `new` in another folder. A link with that name is replaced, not followed.
    pub(crate) fn rename(&self, name: &str, to: &Self, new: &str) -> Result<(), FolderError> {
        Ok(renameat(&self.0, name, &to.0, new)?)
    }

    pub(crate) fn remove_file(&self, name: &str) -> Result<(), FolderError> {
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Removes the folders of a path that are empty, from its end to `keep` names from its start.
    pub(crate) fn remove_empty(&self, path: &str, keep: usize) {
        let mut path = path;
        while !path.is_empty() && path.split('/').count() > keep {
            let (above, name) = split(path);
            let Ok(folder) = self.open(above) else { return };
            if unlinkat(&folder.0, name, AtFlags::REMOVEDIR).is_err() {
                return;
            }
            path = above;
        }
    }

    /// Removes the entry `name` and everything below it. Links are removed, not followed.
    pub(crate) fn remove_all(&self, name: &str) -> Result<(), FolderError> {
        self.remove_tree(name, MAX_DEPTH)
    }

    fn remove_tree(&self, name: &str, depth: u32) -> Result<(), FolderError> {
        match self.kind(name)? {
            None => return Ok(()),
            Some(FileType::Directory) if depth > 0 => {}
            Some(_) => return self.remove_file(name),
        }
        let inner = self.open(name)?;
        for entry in inner.names()? {
            inner.remove_tree(&entry, depth - 1)?;
        }
        Ok(unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Names in the folder, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>, FolderError> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The folder as a file that can be locked.
    pub(crate) fn lockable(&self) -> io::Result<File> {
        Ok(File::from(self.0.try_clone()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_anywhere_below_the_root_is_named_and_not_followed() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        fs::write(outside.path().join("x"), "theirs").unwrap();
        symlink(outside.path(), root.path().join("a/b/link")).unwrap();
        symlink(outside.path().join("x"), root.path().join("x")).unwrap();
        let folder = Folder::root(root.path()).unwrap();
        for result in [folder.open("a/b/link"), folder.create("a/b/link/deep"), folder.create("a/b/link")] {
            assert!(matches!(result, Err(FolderError::Link(at)) if at == "a/b/link"));
        }
        assert!(matches!(folder.read("x"), Err(FolderError::Link(_))));
        assert!(folder.new_file("x").is_err());
        folder.remove_all("a").unwrap();
        folder.remove_all("x").unwrap();
        assert_eq!(fs::read_to_string(outside.path().join("x")).unwrap(), "theirs");
        assert_eq!(folder.names().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn the_folder_that_the_user_chose_may_be_a_link() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        symlink(root.path().join("real"), root.path().join("link")).unwrap();
        let folder = Folder::root(&root.path().join("link")).unwrap();
        folder.create("a/b").unwrap().new_file("c").unwrap();
        assert!(root.path().join("real/a/b/c").exists());
        folder.open("a/b").unwrap().remove_file("c").unwrap();
        folder.remove_empty("a/b", 1);
        assert!(root.path().join("real/a").exists() && !root.path().join("real/a/b").exists());
    }

    #[test]
    fn names_that_leave_the_folder_are_refused_and_pipes_are_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::root(root.path()).unwrap();
        for path in ["..", "a/../b", "a//b", "./a"] {
            assert!(folder.create(path).is_err(), "{path}");
        }
        rustix::fs::mknodat(CWD, root.path().join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(folder.read("pipe").unwrap().is_none());
    }
}
