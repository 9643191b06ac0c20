//! Finds the files of a snapshot: a file, a directory, a revision of a Git repository, standard input.
//!
//! It reads one whole file at a time, and changes nothing.

use super::read::{RowSnapshot, Unreadable};
use git2::{ObjectType, Repository, TreeWalkMode, TreeWalkResult};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A snapshot that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A file or directory.
    #[error("reading {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Something without rows.
    #[error("{place}: {why}")]
    Content {
        /// Which.
        place: String,
        /// Why.
        why: String,
    },
    /// Standard input for both.
    #[error("A and B cannot both be standard input, which can be read once; write one to a file")]
    BothStandardInput,
    /// A revision.
    #[error("reading {place} of the repository {}: {}; --repo names another", repo.display(), error.message())]
    Git {
        /// Which.
        place: String,
        /// Of which repository.
        repo: PathBuf,
        /// Why not. Not a source: its own words are the same ones and numbers.
        error: git2::Error,
    },
}

/// Reads the snapshot at a place.
pub(super) fn open(place: &str, repo: &Path) -> Result<RowSnapshot, PlaceError> {
    let mut snapshot = RowSnapshot::default();
    if let Some(revision) = place.strip_prefix("git:") {
        read_revision(&mut snapshot, revision, repo).map_err(|error| PlaceError::Git {
            place: place.to_owned(),
            repo: repo.to_owned(),
            error,
        })?;
    } else if place == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(|source| PlaceError::File { path: "-".into(), source })?;
        alone(&mut snapshot, "standard input", &bytes)?;
    } else if Path::new(place).is_dir() {
        read_directory(&mut snapshot, Path::new(place), "")?;
        snapshot.note_what_is_missing();
    } else {
        let bytes = read_file(Path::new(place))?;
        alone(&mut snapshot, place, &bytes)?;
    }
    Ok(snapshot)
}

/// A text that was named must hold rows.
fn alone(snapshot: &mut RowSnapshot, place: &str, bytes: &[u8]) -> Result<(), PlaceError> {
    snapshot.read(place, bytes).map_err(|Unreadable(why)| PlaceError::Content { place: place.to_owned(), why })
}

fn read_file(path: &Path) -> Result<Vec<u8>, PlaceError> {
    std::fs::read(path).map_err(|source| PlaceError::File { path: path.to_owned(), source })
}

/// Reads files with an extension of data. Names with a leading dot are skipped, as the records of Kollect have one.
fn read_directory(snapshot: &mut RowSnapshot, directory: &Path, inside: &str) -> Result<(), PlaceError> {
    let fail = |source| PlaceError::File { path: directory.to_owned(), source };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    entries.sort();
    for (name, path) in entries {
        let shown = if inside.is_empty() { name.clone() } else { format!("{inside}/{name}") };
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            read_directory(snapshot, &path, &shown)?;
        } else if is_data(&name) {
            let bytes = read_file(&path)?;
            among_others(snapshot, shown, &bytes);
        }
    }
    Ok(())
}

/// A file that was only found beside others may be anything.
fn among_others(snapshot: &mut RowSnapshot, path: String, bytes: &[u8]) {
    if let Err(Unreadable(why)) = snapshot.read(&path, bytes) {
        snapshot.skipped.push((path, why));
    }
}

fn is_data(name: &str) -> bool {
    [".json", ".ndjson", ".jsonl", ".yaml", ".yml"].iter().any(|extension| name.ends_with(extension))
}

fn read_revision(snapshot: &mut RowSnapshot, revision: &str, repo: &Path) -> Result<(), git2::Error> {
    let (revision, path) = revision.split_once(':').unwrap_or((revision, ""));
    let repo = Repository::discover(repo)?;
    let tree = repo.revparse_single(revision)?.peel_to_tree()?;
    let path = path.trim_matches('/');
    let (tree, inside) = if path.is_empty() {
        (tree, String::new())
    } else {
        let object = tree.get_path(Path::new(path))?.to_object(&repo)?;
        if object.kind() != Some(ObjectType::Tree) {
            let blob = object.peel_to_blob()?;
            return snapshot
                .read(path, blob.content())
                .map_err(|Unreadable(why)| git2::Error::from_str(&format!("{path}: {why}")));
        }
        (object.peel_to_tree()?, format!("{path}/"))
    };
    let mut files = Vec::new();
    tree.walk(TreeWalkMode::PreOrder, |directory, entry| {
        let name = entry.name().unwrap_or_default();
        match entry.kind() {
            _ if name.starts_with('.') => return TreeWalkResult::Skip,
            Some(ObjectType::Blob) if is_data(name) => files.push((format!("{inside}{directory}{name}"), entry.id())),
            _ => {}
        }
        TreeWalkResult::Ok
    })?;
    for (path, id) in files {
        let blob = repo.find_blob(id)?;
        among_others(snapshot, path, blob.content());
    }
    snapshot.note_what_is_missing();
    Ok(())
}
