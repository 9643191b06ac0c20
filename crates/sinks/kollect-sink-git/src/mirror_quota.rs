//! Keeps the directory of all mirrors below its limit by removing the least recently used ones.

use crate::branch_state;
use crate::error::GitError;
use crate::mirror::{TIP, lock, size_of};
use crate::transport::TransferLimits;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// Removes unused mirrors until half of the quota is free. Fails when the rest exceeds the quota. A removed mirror costs
/// its sink one fetch.
pub(crate) fn make_room(root: &Path, own: &str, limits: &TransferLimits) -> Result<(), GitError> {
    let mut total = size_of(root);
    if total <= limits.mirrors / 2 {
        return Ok(());
    }
    for (name, size) in by_last_use(root) {
        if total <= limits.mirrors / 2 {
            break;
        }
        // A private mirror has the name of the usual one as its prefix.
        if !own.starts_with(&name) && !name.starts_with(own) && remove(root, &name) {
            tracing::info!(mirror = name, size, "a git mirror is removed to make room");
            total = total.saturating_sub(size);
        }
    }
    if total <= limits.mirrors { Ok(()) } else { Err(GitError::Full { used: total, limit: limits.mirrors }) }
}

/// Names and sizes of all mirrors, the longest unused one first.
fn by_last_use(root: &Path) -> Vec<(String, u64)> {
    let mut mirrors = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let (Ok(name), path) = (entry.file_name().into_string(), entry.path()) else { continue };
        if path.is_dir() {
            let used = fs::metadata(path.join(TIP)).or_else(|_| fs::metadata(&path)).and_then(|about| about.modified());
            mirrors.push((used.unwrap_or(SystemTime::UNIX_EPOCH), name, size_of(&path)));
        }
    }
    mirrors.sort();
    mirrors.into_iter().map(|(_, name, size)| (name, size)).collect()
}

/// `false`: it is in use.
fn remove(root: &Path, name: &str) -> bool {
    if let Some(branch) = branch_state::find(root, name) {
        let Ok(mut state) = branch.try_lock() else { return false };
        return state.drop_mirror().is_ok();
    }
    // Another process holds the lock while it uses the mirror.
    matches!(lock(root, name), Ok(Some(_lock)) if fs::remove_dir_all(root.join(name)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::Mirror;

    const LIMITS: TransferLimits = TransferLimits { mirrors: 8 << 20, ..TransferLimits::DEFAULT };

    fn mirror(root: &Path, name: &str, size: usize) -> Mirror {
        let mut mirror = Mirror::take(root, name).unwrap();
        mirror.repo().unwrap();
        fs::write(root.join(name).join("objects/pack/x"), vec![1; size]).unwrap();
        mirror
    }

    #[test]
    fn the_longest_unused_mirror_goes_first_and_those_in_use_stay() {
        let root = tempfile::tempdir().unwrap();
        let names = ["a", "b", "c"].map(|first| first.repeat(32));
        let held: Vec<_> = names.iter().map(|name| mirror(root.path(), name, 1700 << 10)).collect();
        // Another process holds `a`; `b` and `c` are free.
        let mut held = held.into_iter();
        let _first = held.next();
        drop(held);
        make_room(root.path(), "other", &LIMITS).unwrap();
        let left = names.map(|name| root.path().join(name).exists());
        assert_eq!(left, [true, false, true]);
    }

    #[test]
    fn a_directory_that_cannot_be_emptied_is_full() {
        let root = tempfile::tempdir().unwrap();
        let _own = mirror(root.path(), &"a".repeat(32), 9 << 20);
        let full = make_room(root.path(), &"a".repeat(32), &LIMITS).unwrap_err();
        assert!(matches!(full, GitError::Full { .. }), "{full}");
    }

    #[test]
    fn a_mirror_of_this_process_that_no_job_uses_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let name = "d".repeat(32);
        let branch = branch_state::shared_branch(root.path(), &name);
        branch.try_lock().unwrap().mirror = Some(mirror(root.path(), &name, 5 << 20));
        let busy = branch.try_lock().unwrap();
        make_room(root.path(), "other", &LIMITS).unwrap();
        assert!(root.path().join(&name).join("HEAD").exists());
        drop(busy);
        make_room(root.path(), "other", &LIMITS).unwrap();
        assert!(!root.path().join(&name).join("HEAD").exists());
    }
}
