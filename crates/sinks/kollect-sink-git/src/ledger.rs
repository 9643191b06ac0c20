//! The ownership record inside a Git tree, read no further than needed: a large record is 256 files of which a small
//! change needs one. What a record means and how its files look is decided in the export crate.

use crate::error::{Trouble, local};
use crate::snapshot::{Found, Snapshot};
use git2::Oid;
use kollect_export::layout::{Record, RecordChange, RecordEntry, RecordFiles};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// A record with so many of its 256 files in place is surely large; below, reading it whole is cheap.
const SURELY_LARGE: usize = 240;
/// Bytes of a record, enough for some 400,000 paths: it is read into memory to compare, and it comes from a
/// server that is not trusted.
const MOST_BYTES: u64 = 64 << 20;

/// A binding's record as it stands in one tree.
pub(crate) struct Ledger {
    path: String,
    /// Blob or tree of the record; `None` when there is no record.
    pub(crate) entry: Option<Oid>,
    form: Form,
}

enum Form {
    Whole(Record),
    /// Every file on its own, read when first asked for.
    Apart(Apart),
}

/// A large record.
struct Apart {
    shards: BTreeMap<u8, Record>,
    /// Bytes of each file.
    sizes: BTreeMap<u8, u64>,
}

impl Ledger {
    pub(crate) fn open(snapshot: &mut Snapshot<'_>, path: &str) -> Result<Self, Trouble> {
        let found = snapshot.find(path)?;
        let (entry, form) = match found {
            Found::Absent => (None, Form::Whole(Record::default())),
            Found::Blocked => {
                return Err(unreadable(path, "a file, link or submodule stands where its folder belongs"));
            }
            Found::Tree(id) if snapshot.repo.find_tree(id).map_err(local)?.len() >= SURELY_LARGE => {
                (Some(id), Form::Apart(Apart::open(snapshot, path, id)?))
            }
            Found::Blob(id) | Found::Tree(id) => (Some(id), Form::Whole(whole(snapshot, path, &found)?)),
            Found::Other => return Err(unreadable(path, "it is neither a file nor a folder")),
        };
        Ok(Self { path: path.to_owned(), entry, form })
    }

    /// What is remembered of a path.
    pub(crate) fn get(&mut self, snapshot: &mut Snapshot<'_>, path: &str) -> Result<Option<RecordEntry>, Trouble> {
        match &mut self.form {
            Form::Whole(record) => Ok(record.get(path).cloned()),
            Form::Apart(apart) => Ok(apart.shard(snapshot, &self.path, shard_of(path))?.get(path).cloned()),
        }
    }

    /// The whole record.
    pub(crate) fn all(&self, snapshot: &mut Snapshot<'_>) -> Result<Record, Trouble> {
        match &self.form {
            Form::Whole(record) => Ok(record.clone()),
            Form::Apart(_) => {
                let found = snapshot.find(&self.path)?;
                whole(snapshot, &self.path, &found)
            }
        }
    }

    /// Changes the record and says which of its files that changes.
    pub(crate) fn apply(
        mut self,
        snapshot: &mut Snapshot<'_>,
        changes: Vec<RecordChange>,
    ) -> Result<RecordFiles, Trouble> {
        let files = match &mut self.form {
            Form::Whole(record) => record.apply(changes),
            Form::Apart(apart) => return apart.apply(snapshot, &self.path, changes),
        };
        check_size(&self.path, files.writes.iter().map(|(_, bytes)| bytes.len() as u64).sum())?;
        Ok(files)
    }
}

impl Apart {
    fn open(snapshot: &Snapshot<'_>, path: &str, tree: Oid) -> Result<Self, Trouble> {
        let mut sizes = BTreeMap::new();
        for entry in &snapshot.repo.find_tree(tree).map_err(local)? {
            let number = entry.name().ok().and_then(|name| u8::from_str_radix(name, 16).ok());
            let number = number.ok_or_else(|| unreadable(path, "a file in it is not a part of a record"))?;
            sizes.insert(number, snapshot.size(entry.id())?);
        }
        Ok(Self { shards: BTreeMap::new(), sizes })
    }

    fn shard(&mut self, snapshot: &mut Snapshot<'_>, record: &str, number: u8) -> Result<&mut Record, Trouble> {
        use std::collections::btree_map::Entry as Slot;
        match self.shards.entry(number) {
            Slot::Occupied(slot) => Ok(slot.into_mut()),
            Slot::Vacant(slot) => {
                let path = format!("{record}/{number:02x}");
                let mut shard = Record::default();
                if let Found::Blob(id) = snapshot.find(&path)? {
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
    ) -> Result<RecordFiles, Trouble> {
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
            // All its paths belong to one file, whatever form a record of its size has by itself.
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

fn whole(snapshot: &Snapshot<'_>, path: &str, found: &Found) -> Result<Record, Trouble> {
    let mut record = Record::default();
    match found {
        Found::Blob(id) => {
            read(snapshot, &mut record, path, "", *id, 0)?;
        }
        Found::Tree(id) => {
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

/// Reads one file of a record, of which `before` bytes were read already; returns how many that makes.
fn read(
    snapshot: &Snapshot<'_>,
    record: &mut Record,
    path: &str,
    suffix: &str,
    id: Oid,
    before: u64,
) -> Result<u64, Trouble> {
    let total = before.saturating_add(snapshot.size(id)?);
    check_size(path, total)?;
    record.read(suffix, &snapshot.content(id)?).map_err(|error| unreadable(path, &error.to_string()))?;
    Ok(total)
}

fn check_size(path: &str, bytes: u64) -> Result<(), Trouble> {
    if bytes <= MOST_BYTES { Ok(()) } else { Err(Trouble::RecordSize { path: path.to_owned(), limit: MOST_BYTES }) }
}

fn unreadable(path: &str, why: &str) -> Trouble {
    Trouble::Record { path: path.to_owned(), why: why.to_owned() }
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
            let ledger = Ledger::open(&mut snapshot, "r").unwrap();
            assert!(matches!(ledger.form, Form::Apart(_)));
            let files = ledger.apply(&mut snapshot, vec![change.clone()]).unwrap();
            // The same as the export crate does with the whole record.
            assert_eq!(files, record.clone().apply([change]));
            assert_eq!((files.writes.len(), files.deletes.len()), (1, 0));
        }
        // Emptied, its file goes.
        let all = Ledger::open(&mut snapshot, "r").unwrap().all(&mut snapshot).unwrap();
        let of_seven = all.iter().filter(|(path, _)| shard_of(path) == 7);
        let gone = of_seven.map(|(path, _)| RecordChange::Delete { path: path.clone() }).collect();
        let files = Ledger::open(&mut snapshot, "r").unwrap().apply(&mut snapshot, gone).unwrap();
        assert_eq!((files.writes, files.deletes), (Vec::new(), vec!["/07".to_owned()]));
    }

    #[test]
    fn a_record_above_the_limit_is_neither_read_nor_written() {
        let dir = tempfile::tempdir().unwrap();
        let repo = git2::Repository::init_bare(dir.path()).unwrap();
        let spaces = vec![b'\n'; usize::try_from(MOST_BYTES / 2 + 1).unwrap()];
        let tree = commit(&repo, &[("/00".into(), spaces.clone()), ("/01".into(), spaces)]);
        let mut snapshot = Snapshot::open(&repo, Some(tree)).unwrap();
        let error = Ledger::open(&mut snapshot, "r").err().unwrap();
        assert!(error.to_string().contains("targetRefs"), "{error}");
        let mut empty = Snapshot::open(&repo, None).unwrap();
        let ledger = Ledger::open(&mut empty, "r").unwrap();
        let long = "x".repeat(1 << 20);
        let error = ledger.apply(&mut empty, (0..65).map(|n| put(&format!("{long}{n}"), b"x")).collect()).unwrap_err();
        assert!(matches!(error, Trouble::RecordSize { .. }), "{error}");
    }
}
