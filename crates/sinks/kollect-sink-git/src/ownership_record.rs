//! Reads and changes the ownership record in a Git tree, shard by shard: a large record is 256 files, of which a small
//! change needs one. The export crate defines the format.

use crate::error::{GitError, local};
use crate::snapshot::{Snapshot, TreeEntry};
use git2::Oid;
use kollect_export::layout::{Record, RecordChange, RecordEntry, RecordFiles};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// A record with so many of its 256 files is large; one with fewer is cheap to read whole.
const SURELY_LARGE: usize = 240;
/// Limit of a record in bytes, enough for some 400,000 paths: a comparison reads it into memory, and the server is not
/// trusted.
const MOST_BYTES: u64 = 64 << 20;

/// A binding's record in one tree.
pub(crate) struct OwnershipRecord {
    path: String,
    /// Blob or tree of the record; `None` when there is no record.
    pub(crate) entry: Option<Oid>,
    form: RecordForm,
}

enum RecordForm {
    Whole(Record),
    /// Every shard is read when it is first needed.
    Sharded(ShardedRecord),
}

/// A large record.
struct ShardedRecord {
    shards: BTreeMap<u8, Record>,
    /// Bytes of each file.
    sizes: BTreeMap<u8, u64>,
}

impl OwnershipRecord {
    pub(crate) fn open(snapshot: &mut Snapshot<'_>, path: &str) -> Result<Self, GitError> {
        let found = snapshot.find(path)?;
        let (entry, form) = match found {
            TreeEntry::Absent => (None, RecordForm::Whole(Record::default())),
            TreeEntry::Blocked => {
                return Err(unreadable(path, "a file, link or submodule is where its folder belongs"));
            }
            TreeEntry::Tree(id) if snapshot.repo.find_tree(id).map_err(local)?.len() >= SURELY_LARGE => {
                (Some(id), RecordForm::Sharded(ShardedRecord::open(snapshot, path, id)?))
            }
            TreeEntry::Blob(id) | TreeEntry::Tree(id) => (Some(id), RecordForm::Whole(whole(snapshot, path, &found)?)),
            TreeEntry::Other => return Err(unreadable(path, "it is neither a file nor a folder")),
        };
        Ok(Self { path: path.to_owned(), entry, form })
    }

    /// The entry of a path.
    pub(crate) fn get(&mut self, snapshot: &mut Snapshot<'_>, path: &str) -> Result<Option<RecordEntry>, GitError> {
        match &mut self.form {
            RecordForm::Whole(record) => Ok(record.get(path).cloned()),
            RecordForm::Sharded(sharded) => Ok(sharded.shard(snapshot, &self.path, shard_of(path))?.get(path).cloned()),
        }
    }

    /// The whole record.
    pub(crate) fn all(&self, snapshot: &mut Snapshot<'_>) -> Result<Record, GitError> {
        match &self.form {
            RecordForm::Whole(record) => Ok(record.clone()),
            RecordForm::Sharded(_) => {
                let found = snapshot.find(&self.path)?;
                whole(snapshot, &self.path, &found)
            }
        }
    }

    /// Changes the record; returns which of its files change.
    pub(crate) fn apply(
        mut self,
        snapshot: &mut Snapshot<'_>,
        changes: Vec<RecordChange>,
    ) -> Result<RecordFiles, GitError> {
        let files = match &mut self.form {
            RecordForm::Whole(record) => record.apply(changes),
            RecordForm::Sharded(sharded) => return sharded.apply(snapshot, &self.path, changes),
        };
        check_size(&self.path, files.writes.iter().map(|(_, bytes)| bytes.len() as u64).sum())?;
        Ok(files)
    }
}

impl ShardedRecord {
    fn open(snapshot: &Snapshot<'_>, path: &str, tree: Oid) -> Result<Self, GitError> {
        let mut sizes = BTreeMap::new();
        for entry in &snapshot.repo.find_tree(tree).map_err(local)? {
            let number = entry.name().ok().and_then(|name| u8::from_str_radix(name, 16).ok());
            let number = number.ok_or_else(|| unreadable(path, "a file in it is not a part of a record"))?;
            sizes.insert(number, snapshot.size(entry.id())?);
        }
        Ok(Self { shards: BTreeMap::new(), sizes })
    }

    fn shard(&mut self, snapshot: &mut Snapshot<'_>, record: &str, number: u8) -> Result<&mut Record, GitError> {
        use std::collections::btree_map::Entry;
        match self.shards.entry(number) {
            Entry::Occupied(slot) => Ok(slot.into_mut()),
            Entry::Vacant(slot) => {
                let path = format!("{record}/{number:02x}");
                let mut shard = Record::default();
                if let TreeEntry::Blob(id) = snapshot.find(&path)? {
                    read(snapshot, &mut shard, &path, "", id, 0)?;
                }
                Ok(slot.insert(shard))
            }
        }
    }

    fn apply(
        &mut self,
        snapshot: &mut Snapshot<'_>,
        record: &str,
        changes: Vec<RecordChange>,
    ) -> Result<RecordFiles, GitError> {
        let mut by_shard: BTreeMap<u8, Vec<RecordChange>> = BTreeMap::new();
        for change in changes {
            let (RecordChange::Put { path, .. } | RecordChange::Delete { path }) = &change;
            by_shard.entry(shard_of(path)).or_default().push(change);
        }
        let mut files = RecordFiles::default();
        for (number, changes) in by_shard {
            let shard = self.shard(snapshot, record, number)?;
            if shard.apply(changes) == RecordFiles::default() {
                continue;
            }
            // All paths of a shard are in one file, even where a record of that size would be sharded.
            let written = shard.to_files().pop();
            let suffix = format!("/{number:02x}");
            self.sizes.insert(number, written.as_ref().map_or(0, |(_, bytes)| bytes.len() as u64));
            match written {
                Some((_, bytes)) => files.writes.push((suffix, bytes)),
                None => files.deletes.push(suffix),
            }
        }
        check_size(record, self.sizes.values().sum())?;
        Ok(files)
    }
}

fn shard_of(path: &str) -> u8 {
    Sha256::digest(path.as_bytes())[0]
}

fn whole(snapshot: &Snapshot<'_>, path: &str, found: &TreeEntry) -> Result<Record, GitError> {
    let mut record = Record::default();
    match found {
        TreeEntry::Blob(id) => {
            read(snapshot, &mut record, path, "", *id, 0)?;
        }
        TreeEntry::Tree(id) => {
            let tree = snapshot.repo.find_tree(*id).map_err(local)?;
            let mut total = 0;
            for entry in &tree {
                let name = entry.name().map_err(|_| unreadable(path, "a file name in it is not UTF-8"))?;
                total = read(snapshot, &mut record, path, &format!("/{name}"), entry.id(), total)?;
            }
        }
        _ => {}
    }
    Ok(record)
}

/// Reads one file of a record; returns `before` plus its length in bytes.
fn read(
    snapshot: &Snapshot<'_>,
    record: &mut Record,
    path: &str,
    suffix: &str,
    id: Oid,
    before: u64,
) -> Result<u64, GitError> {
    let total = before.saturating_add(snapshot.size(id)?);
    check_size(path, total)?;
    record.read(suffix, &snapshot.content(id)?).map_err(|error| unreadable(path, &error.to_string()))?;
    Ok(total)
}

fn check_size(path: &str, bytes: u64) -> Result<(), GitError> {
    if bytes <= MOST_BYTES { Ok(()) } else { Err(GitError::RecordSize { path: path.to_owned(), limit: MOST_BYTES }) }
}

fn unreadable(path: &str, why: &str) -> GitError {
    GitError::Record { path: path.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kollect_model::Digest;

    #[test]
    fn paths_are_put_into_the_shards_where_the_record_keeps_them() {
        let put = |n: usize| RecordChange::Put {
            path: format!("inventory/{n}.yaml").into(),
            entry: RecordEntry { digest: Digest::of(b"x"), tag: "t".into() },
        };
        let mut record = Record::default();
        record.apply((0..2000).map(put));
        for (suffix, bytes) in record.to_files() {
            let own = Record::parse([("", &*bytes)]).unwrap();
            assert!(own.iter().all(|(path, _)| format!("/{:02x}", shard_of(path)) == suffix));
        }
    }

    fn put(path: &str, content: &[u8]) -> RecordChange {
        RecordChange::Put { path: path.into(), entry: RecordEntry { digest: Digest::of(content), tag: "t".into() } }
    }

    /// Writes the record's files into a repository as they are.
    fn commit(repo: &git2::Repository, files: &[(String, Vec<u8>)]) -> Oid {
        let mut folder = repo.treebuilder(None).unwrap();
        for (suffix, bytes) in files {
            folder.insert(&suffix[1..], repo.blob(bytes).unwrap(), 0o100_644).unwrap();
        }
        let mut root = repo.treebuilder(None).unwrap();
        root.insert("r", folder.write().unwrap(), 0o040_000).unwrap();
        root.write().unwrap()
    }

    #[test]
    fn a_file_of_a_large_record_may_hold_more_paths_than_a_small_record() {
        let dir = tempfile::tempdir().unwrap();
        let repo = git2::Repository::init_bare(dir.path()).unwrap();
        // 1,001 paths in one of the files, and one in each of the others.
        let paths = (0..).map(|n| format!("a/{n}.yaml"));
        let full: Vec<_> = paths.filter(|path| shard_of(path) == 7).take(1001).collect();
        let mut record = Record::default();
        record.apply(full.iter().map(|path| put(path, b"x")));
        record.apply((0..3000).map(|n| put(&format!("b/{n}.yaml"), b"x")));
        let tree = commit(&repo, &record.to_files());
        let mut snapshot = Snapshot::open(&repo, Some(tree)).unwrap();
        let one_more = (0..100_000).map(|n| format!("c/{n}.yaml")).find(|path| shard_of(path) == 7).unwrap();
        for change in
            [put(&full[3], b"y"), put(&one_more, b"y"), RecordChange::Delete { path: full[0].as_str().into() }]
        {
            let ownership = OwnershipRecord::open(&mut snapshot, "r").unwrap();
            assert!(matches!(ownership.form, RecordForm::Sharded(_)));
            let files = ownership.apply(&mut snapshot, vec![change.clone()]).unwrap();
            // The same as the export crate does with the whole record.
            assert_eq!(files, record.clone().apply([change]));
            assert_eq!((files.writes.len(), files.deletes.len()), (1, 0));
        }
        // Emptied, its file goes.
        let all = OwnershipRecord::open(&mut snapshot, "r").unwrap().all(&mut snapshot).unwrap();
        let of_seven = all.iter().filter(|(path, _)| shard_of(path) == 7);
        let gone = of_seven.map(|(path, _)| RecordChange::Delete { path: path.clone() }).collect();
        let files = OwnershipRecord::open(&mut snapshot, "r").unwrap().apply(&mut snapshot, gone).unwrap();
        assert_eq!((files.writes, files.deletes), (Vec::new(), vec!["/07".to_owned()]));
    }

    #[test]
    fn a_record_above_the_limit_is_neither_read_nor_written() {
        let dir = tempfile::tempdir().unwrap();
        let repo = git2::Repository::init_bare(dir.path()).unwrap();
        let spaces = vec![b'\n'; usize::try_from(MOST_BYTES / 2 + 1).unwrap()];
        let tree = commit(&repo, &[("/00".into(), spaces.clone()), ("/01".into(), spaces)]);
        let mut snapshot = Snapshot::open(&repo, Some(tree)).unwrap();
        let error = OwnershipRecord::open(&mut snapshot, "r").err().unwrap();
        assert!(error.to_string().contains("targetRefs"), "{error}");
        let mut empty = Snapshot::open(&repo, None).unwrap();
        let ownership = OwnershipRecord::open(&mut empty, "r").unwrap();
        let long = "x".repeat(1 << 20);
        let error =
            ownership.apply(&mut empty, (0..65).map(|n| put(&format!("{long}{n}"), b"x")).collect()).unwrap_err();
        assert!(matches!(error, GitError::RecordSize { .. }), "{error}");
    }
}
