//! The ownership record inside a Git tree, read no further than needed.
//!
//! Separate because a large record is 256 files of which a small change needs one. What a record means and how its
//! files look is decided in the export crate; this file finds them in a tree.

use crate::error::{Trouble, local};
use crate::snapshot::{Found, Snapshot};
use git2::Oid;
use kollect_export::layout::{Entry, Record, RecordChange, RecordFiles};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// A record with so many of its 256 files in place is surely large; below, reading it whole is cheap.
const SURELY_LARGE: usize = 240;

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
    Apart(BTreeMap<u8, Record>),
}

impl Ledger {
    pub(crate) fn open(snapshot: &mut Snapshot<'_>, path: &str) -> Result<Self, Trouble> {
        let found = snapshot.find(path)?;
        let (entry, form) = match found {
            Found::Absent | Found::Blocked => (None, Form::Whole(Record::default())),
            Found::Tree(id) if snapshot.repo.find_tree(id).map_err(local)?.len() >= SURELY_LARGE => {
                (Some(id), Form::Apart(BTreeMap::new()))
            }
            Found::Blob(id) | Found::Tree(id) => (Some(id), Form::Whole(whole(snapshot, path, &found)?)),
            Found::Other => return Err(unreadable(path, "it is neither a file nor a folder")),
        };
        Ok(Self { path: path.to_owned(), entry, form })
    }

    /// What is remembered of a path.
    pub(crate) fn get(&mut self, snapshot: &mut Snapshot<'_>, path: &str) -> Result<Option<Entry>, Trouble> {
        match &mut self.form {
            Form::Whole(record) => Ok(record.get(path).cloned()),
            Form::Apart(shards) => Ok(shard(shards, snapshot, &self.path, shard_of(path))?.get(path).cloned()),
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
        let shards = match &mut self.form {
            Form::Whole(record) => return Ok(record.apply(changes)),
            Form::Apart(shards) => shards,
        };
        let mut by_shard: BTreeMap<u8, Vec<RecordChange>> = BTreeMap::new();
        for change in changes {
            let (RecordChange::Put { path, .. } | RecordChange::Delete { path }) = &change;
            by_shard.entry(shard_of(path)).or_default().push(change);
        }
        let mut files = RecordFiles::default();
        for (number, changes) in by_shard {
            // A shard is a small record of one file, as long as it stays below the size that splits a record.
            let change = shard(shards, snapshot, &self.path, number)?.apply(changes);
            if change.writes.len() > 1 {
                // Enormous: leave it to the rules of a whole record.
                return Err(unreadable(&self.path, "one of its 256 files holds more than 1,000 paths"));
            }
            let suffix = format!("/{number:02x}");
            files.writes.extend(change.writes.into_iter().map(|(_, bytes)| (suffix.clone(), bytes)));
            files.deletes.extend(change.deletes.into_iter().map(|_| suffix.clone()));
        }
        Ok(files)
    }
}

fn shard_of(path: &str) -> u8 {
    Sha256::digest(path.as_bytes())[0]
}

fn shard<'s>(
    shards: &'s mut BTreeMap<u8, Record>,
    snapshot: &mut Snapshot<'_>,
    record: &str,
    number: u8,
) -> Result<&'s mut Record, Trouble> {
    use std::collections::btree_map::Entry as Slot;
    match shards.entry(number) {
        Slot::Occupied(slot) => Ok(slot.into_mut()),
        Slot::Vacant(slot) => {
            let path = format!("{record}/{number:02x}");
            let bytes = match snapshot.find(&path)? {
                Found::Blob(id) => snapshot.content(id)?,
                _ => Vec::new(),
            };
            let parsed = Record::parse([("", &*bytes)]).map_err(|error| unreadable(&path, &error.to_string()))?;
            Ok(slot.insert(parsed))
        }
    }
}

fn whole(snapshot: &Snapshot<'_>, path: &str, found: &Found) -> Result<Record, Trouble> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    match found {
        Found::Blob(id) => files.push((String::new(), snapshot.content(*id)?)),
        Found::Tree(id) => {
            let tree = snapshot.repo.find_tree(*id).map_err(local)?;
            for entry in &tree {
                let name = entry.name().map_err(|_| unreadable(path, "a file name in it is not UTF-8"))?;
                files.push((format!("/{name}"), snapshot.content(entry.id())?));
            }
        }
        _ => {}
    }
    Record::parse(files.iter().map(|(suffix, bytes)| (suffix.as_str(), bytes.as_slice())))
        .map_err(|error| unreadable(path, &error.to_string()))
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
            entry: Entry { digest: Digest::of(b"x"), tag: "t".into() },
        };
        let mut record = Record::default();
        record.apply((0..2000).map(put));
        for (suffix, bytes) in record.to_files() {
            let own = Record::parse([("", &*bytes)]).unwrap();
            assert!(own.iter().all(|(path, _)| format!("/{:02x}", shard_of(path)) == suffix));
        }
    }
}
