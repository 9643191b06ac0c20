//! The bare repository on disk in which libgit2 works: ownership of its directory, lock, size, repair.
//!
//! It is a cache: when it is deleted, the next job fetches the branch again.

use crate::error::{GitError, disk, local};
use git2::{Oid, Repository};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Local reference to the remote branch; it keeps the fetched objects reachable.
pub(crate) const TIP: &str = "refs/kollect/tip";
/// A mirror is deleted when it has this many times its size after the fetch …
const GROWTH: u64 = 4;
/// … and at least this many bytes.
const SMALL: u64 = 32 << 20;
/// Pushes between two measurements of the size, which walk over all files.
const MEASURE_EVERY: u32 = 32;
/// Mirrors without use for this long are removed.
const ABANDONED: Duration = Duration::from_hours(3 * 24);

/// A mirror whose lock this process holds.
pub(crate) struct Mirror {
    dir: PathBuf,
    /// Released when the mirror is dropped.
    _lock: File,
    repo: Option<Repository>,
    /// Named after this process, because another one holds the lock of the usual mirror.
    private: bool,
    fetched_size: u64,
    pushes: u32,
}

impl Mirror {
    /// Takes the mirror `name` below `root`, creating both when needed.
    pub(crate) fn take(root: &Path, name: &str) -> Result<Self, GitError> {
        check_root(root)?;
        sweep(root, name);
        let (dir, lock, private) = if let Some(lock) = lock(root, name)? {
            (root.join(name), lock, false)
        } else {
            // Another process holds the lock. The mirror is a cache, so this process uses one of its own.
            let own = format!("{name}-{}", std::process::id());
            let lock = lock(root, &own)?.ok_or_else(|| GitError::Mirror("the mirror is in use".to_owned()))?;
            (root.join(own), lock, true)
        };
        Ok(Self { dir, _lock: lock, repo: None, private, fetched_size: 0, pushes: 0 })
    }

    /// The repository; created when it is missing or damaged.
    pub(crate) fn repo(&mut self) -> Result<&Repository, GitError> {
        if self.repo.is_some() && !self.dir.join("HEAD").exists() {
            self.repo = None;
        }
        if self.repo.is_none() {
            let opened = Repository::open_bare(&self.dir);
            if opened.is_err() {
                self.delete()?;
            }
            self.repo = Some(opened.or_else(|_| Repository::init_bare(&self.dir)).map_err(local)?);
        }
        self.repo.as_ref().ok_or(GitError::Task)
    }

    /// The commit whose objects are all present.
    pub(crate) fn present(&mut self) -> Result<Option<Oid>, GitError> {
        let repo = self.repo()?;
        let tip = repo.refname_to_id(TIP).ok();
        Ok(tip.filter(|tip| repo.find_commit(*tip).and_then(|commit| commit.tree()).is_ok()))
    }

    /// Removes everything; the next use starts from nothing.
    pub(crate) fn delete(&mut self) -> Result<(), GitError> {
        self.repo = None;
        (self.fetched_size, self.pushes) = (0, 0);
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk(error)),
            _ => Ok(()),
        }
    }

    /// Checks the size after a fetch. `first`: the mirror was empty before.
    pub(crate) fn fetched(&mut self, first: bool, limit: u64) -> Result<(), GitError> {
        let size = size_of(&self.dir);
        if first {
            (self.fetched_size, self.pushes) = (size, 0);
        }
        if size <= limit {
            return Ok(());
        }
        self.delete()?;
        Err(if first {
            GitError::TooMuch(format!("{size} bytes on disk, and {limit} are allowed"))
        } else {
            GitError::Mirror(format!("it grew to {size} bytes"))
        })
    }

    /// Counts a push, and deletes the mirror when it has grown too much.
    pub(crate) fn pushed(&mut self, limit: u64) -> Result<(), GitError> {
        self.pushes += 1;
        let most = SMALL.max(GROWTH * self.fetched_size).min(limit);
        if self.pushes.is_multiple_of(MEASURE_EVERY) && size_of(&self.dir) > most {
            self.delete()?;
        }
        Ok(())
    }
}

impl Drop for Mirror {
    /// Removes a private mirror, which no other process would use or remove soon.
    fn drop(&mut self) {
        if self.private {
            self.repo = None;
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn check_root(root: &Path) -> Result<(), GitError> {
    let refuse = |why: &str| Err(GitError::MirrorRoot { path: root.to_owned(), why: why.to_owned() });
    if !root.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(disk)?;
    }
    let about = fs::symlink_metadata(root).map_err(disk)?;
    if !about.is_dir() {
        return refuse("it is not a directory");
    }
    if about.uid() != rustix::process::geteuid().as_raw() {
        return refuse("it belongs to another user");
    }
    if about.mode() & 0o022 != 0 {
        return refuse("others may write to it (chmod 700)");
    }
    Ok(())
}

/// `None`: another process holds it.
pub(crate) fn lock(root: &Path, name: &str) -> Result<Option<File>, GitError> {
    let path = root.join(format!("{name}.lock"));
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(disk)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(disk(error)),
    }
}

/// Removes abandoned mirrors. Errors are ignored: the next call retries.
fn sweep(root: &Path, keep: &str) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let Some(name) = file.to_str().and_then(|name| name.strip_suffix(".lock")) else { continue };
        let is_mirror = name.len() >= 32 && name.bytes().take(32).all(|c| c.is_ascii_hexdigit());
        let old = || {
            let used = fs::metadata(root.join(name).join(TIP)).or_else(|_| entry.metadata()).ok()?.modified().ok()?;
            Some(used.elapsed().unwrap_or_default() > ABANDONED)
        };
        if name == keep || !is_mirror || old() != Some(true) {
            continue;
        }
        if let Ok(Some(_lock)) = lock(root, name) {
            let _ = fs::remove_dir_all(root.join(name));
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Disk space below `dir`. Bounded: a repository is not deep.
pub(crate) fn size_of(dir: &Path) -> u64 {
    let mut total = 0;
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(about) = entry.metadata() else { continue };
            total += about.blocks() * 512;
            if about.is_dir() {
                open.push(entry.path());
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const NAME: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_root_that_others_may_write_is_refused() {
        let root = tempfile::tempdir().unwrap();
        assert!(Mirror::take(root.path(), NAME).is_ok());
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused = Mirror::take(root.path(), NAME).err().unwrap();
        assert!(refused.to_string().contains("others may write"), "{refused}");
        let link = root.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(Mirror::take(&link, NAME).is_err());
    }

    #[test]
    fn two_holders_get_two_directories_and_the_second_cleans_up() {
        let root = tempfile::tempdir().unwrap();
        let mut first = Mirror::take(root.path(), NAME).unwrap();
        first.repo().unwrap();
        let mut second = Mirror::take(root.path(), NAME).unwrap();
        second.repo().unwrap();
        let own = second.dir.clone();
        assert!(own != first.dir && own.exists());
        drop(second);
        assert!(!own.exists() && first.dir.exists());
    }

    #[test]
    fn a_mirror_that_vanished_or_is_damaged_is_made_again() {
        let root = tempfile::tempdir().unwrap();
        let mut mirror = Mirror::take(root.path(), NAME).unwrap();
        mirror.repo().unwrap();
        fs::remove_dir_all(&mirror.dir).unwrap();
        assert_eq!(mirror.present().unwrap(), None);
        fs::remove_file(mirror.dir.join("HEAD")).unwrap();
        assert_eq!(mirror.present().unwrap(), None);
        assert!(mirror.dir.join("HEAD").exists());
    }

    #[test]
    fn a_mirror_above_its_limit_is_removed_after_the_fetch() {
        let root = tempfile::tempdir().unwrap();
        let mut mirror = Mirror::take(root.path(), NAME).unwrap();
        for (first, word) in [(true, "are allowed"), (false, "grew")] {
            mirror.repo().unwrap();
            fs::write(mirror.dir.join("objects/junk"), vec![1; 200_000]).unwrap();
            let refused = mirror.fetched(first, 100_000).unwrap_err();
            assert!(refused.to_string().contains(word) && refused.is_local() != first, "{refused}");
            assert!(!mirror.dir.exists());
        }
    }

    #[test]
    fn a_mirror_that_grew_much_larger_than_what_was_fetched_is_dropped() {
        let root = tempfile::tempdir().unwrap();
        let mut mirror = Mirror::take(root.path(), NAME).unwrap();
        mirror.repo().unwrap();
        mirror.fetched(true, u64::MAX).unwrap();
        for _ in 0..MEASURE_EVERY {
            mirror.pushed(u64::MAX).unwrap();
        }
        assert!(mirror.dir.exists(), "small mirrors stay");
        let size = usize::try_from(SMALL).unwrap() + 1;
        fs::write(mirror.dir.join("objects/junk"), vec![1; size]).unwrap();
        for _ in 0..MEASURE_EVERY {
            mirror.pushed(u64::MAX).unwrap();
        }
        assert!(!mirror.dir.exists());
    }
}
