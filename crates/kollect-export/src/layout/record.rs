//! The ownership record: which paths a binding owns, with digest and backend tag.
//!
//! A record is one file, or 256 shards once it is large, so that a small change of a large inventory rewrites a small
//! file. Lines are sorted JSON, so that a change is a small difference in Git too.

use kollect_model::{Digest, write_string};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SHARDS: usize = 256;
/// More paths than this make a record sharded …
const SHARD_ABOVE: usize = 1_000;
/// … and fewer than this make it one file again. The distance keeps a few rows more or less from rewriting everything.
const JOIN_BELOW: usize = 500;

/// The recorded state of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordEntry {
    /// What the file was made from.
    pub digest: Digest,
    /// The backend's name for the content (blob id, ETag).
    pub tag: Box<str>,
}

/// A change of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// The path is written.
    Put {
        /// Path below the destination's root.
        path: Arc<str>,
        /// The recorded state.
        entry: RecordEntry,
    },
    /// The path is deleted.
    Delete {
        /// Path below the destination's root.
        path: Arc<str>,
    },
}

/// Files of a record that change. A suffix is appended to the record's path: empty, or `/` and two hex digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFiles {
    /// Files to delete. Before the writes: one form's file is the other form's folder.
    pub deletes: Vec<String>,
    /// Files to write.
    pub writes: Vec<(String, Vec<u8>)>,
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line} of the ownership record file \"{suffix}\" cannot be read: restore the file, or delete the whole record \
         to take stock again"
)]
pub struct RecordError {
    /// Which file of the record.
    pub suffix: String,
    /// 1-based line.
    pub line: usize,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    digest: Cow<'a, str>,
    #[serde(borrow, default)]
    tag: Cow<'a, str>,
}

/// The paths a binding owns.
#[derive(Clone, Debug)]
pub struct Record {
    shards: Vec<BTreeMap<Arc<str>, RecordEntry>>,
    len: usize,
    sharded: bool,
}

impl Default for Record {
    fn default() -> Self {
        Self { shards: vec![BTreeMap::new(); SHARDS], len: 0, sharded: false }
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.shards == other.shards
    }
}

fn shard_of(path: &str) -> usize {
    usize::from(Sha256::digest(path.as_bytes())[0])
}

fn suffix_of(shard: usize) -> String {
    format!("/{shard:02x}")
}

impl Record {
    /// Reads a record from all its files. No file at all is the empty record.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, RecordError> {
        let mut record = Self::default();
        for (suffix, bytes) in files {
            record.read(suffix, bytes)?;
        }
        Ok(record)
    }

    /// Reads one more file of the record.
    pub fn read(&mut self, suffix: &str, bytes: &[u8]) -> Result<(), RecordError> {
        self.sharded |= !suffix.is_empty();
        for (at, text) in bytes.split(|c| *c == b'\n').enumerate().filter(|(_, text)| !text.is_empty()) {
            let bad = || RecordError { suffix: suffix.to_owned(), line: at + 1 };
            let line: Line<'_> = serde_json::from_slice(text).map_err(|_| bad())?;
            let digest = Digest::parse(&line.digest).ok_or_else(bad)?;
            self.insert(line.path.as_ref().into(), RecordEntry { digest, tag: line.tag.into() });
        }
        Ok(())
    }

    /// Number of paths.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the binding owns nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The recorded state of a path.
    pub fn get(&self, path: &str) -> Option<&RecordEntry> {
        self.shards[shard_of(path)].get(path)
    }

    /// Every path, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &RecordEntry)> {
        self.shards.iter().flatten()
    }

    fn insert(&mut self, path: Arc<str>, entry: RecordEntry) -> usize {
        let shard = shard_of(&path);
        self.len += usize::from(self.shards[shard].insert(path, entry).is_none());
        shard
    }

    /// Changes the record. Returns which of its files change.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = RecordChange>) -> RecordFiles {
        let before = self.suffixes();
        let was_sharded = self.sharded;
        let mut touched = BTreeSet::new();
        for change in changes {
            match change {
                RecordChange::Put { path, entry } => {
                    if self.get(&path) != Some(&entry) {
                        touched.insert(self.insert(path, entry));
                    }
                }
                RecordChange::Delete { path } => {
                    let shard = shard_of(&path);
                    if self.shards[shard].remove(&path).is_some() {
                        self.len -= 1;
                        touched.insert(shard);
                    }
                }
            }
        }
        if touched.is_empty() {
            return RecordFiles::default();
        }
        self.sharded = if self.sharded { self.len >= JOIN_BELOW } else { self.len > SHARD_ABOVE };
        let after = self.suffixes();
        let deletes = before.difference(&after).cloned().collect();
        let writes = if self.sharded && was_sharded {
            let shards = touched.into_iter().filter(|shard| !self.shards[*shard].is_empty());
            shards.map(|shard| (suffix_of(shard), self.shard_bytes(shard))).collect()
        } else {
            self.to_files()
        };
        RecordFiles { deletes, writes }
    }

    /// Suffixes of the files this record consists of; at most 256.
    fn suffixes(&self) -> BTreeSet<String> {
        if self.sharded {
            (0..SHARDS).filter(|shard| !self.shards[*shard].is_empty()).map(suffix_of).collect()
        } else {
            (self.len > 0).then(String::new).into_iter().collect()
        }
    }

    /// All files of the record. An empty record has none.
    pub fn to_files(&self) -> Vec<(String, Vec<u8>)> {
        if self.sharded {
            let shards = (0..SHARDS).filter(|shard| !self.shards[*shard].is_empty());
            return shards.map(|shard| (suffix_of(shard), self.shard_bytes(shard))).collect();
        }
        if self.len == 0 {
            return Vec::new();
        }
        let sorted: BTreeMap<_, _> = self.iter().collect();
        vec![(String::new(), lines(sorted.into_iter()))]
    }

    fn shard_bytes(&self, shard: usize) -> Vec<u8> {
        lines(self.shards[shard].iter())
    }
}

fn lines<'a>(entries: impl Iterator<Item = (&'a Arc<str>, &'a RecordEntry)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, entry) in entries {
        out.extend_from_slice(b"{\"path\":");
        write_string(path, &mut out);
        out.extend_from_slice(b",\"digest\":");
        write_string(&entry.digest.to_string(), &mut out);
        if !entry.tag.is_empty() {
            out.extend_from_slice(b",\"tag\":");
            write_string(&entry.tag, &mut out);
        }
        out.extend_from_slice(b"}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &str, content: &str) -> RecordChange {
        let entry = RecordEntry { digest: Digest::of(content.as_bytes()), tag: "t\"1".into() };
        RecordChange::Put { path: path.into(), entry }
    }

    fn delete(path: &str) -> RecordChange {
        RecordChange::Delete { path: path.into() }
    }

    fn many(numbers: std::ops::Range<usize>) -> Vec<RecordChange> {
        numbers.map(|i| put(&format!("a/{i}.yaml"), "x")).collect()
    }

    fn parse(files: &[(String, Vec<u8>)]) -> Record {
        Record::parse(files.iter().map(|(suffix, bytes)| (suffix.as_str(), bytes.as_slice()))).unwrap()
    }

    /// What a backend holds after applying the files of every step.
    fn store(held: &mut BTreeMap<String, Vec<u8>>, files: RecordFiles) {
        for suffix in files.deletes {
            assert!(held.remove(&suffix).is_some());
        }
        held.extend(files.writes);
        assert!(!(held.contains_key("") && held.len() > 1), "both forms at once");
    }

    #[test]
    fn a_small_record_is_one_sorted_file_that_reads_back() {
        let mut record = Record::default();
        let files = record.apply([put("b.yaml", "b"), put("a \"ü\".yaml", "a")]);
        assert!(files.deletes.is_empty());
        let digest = Digest::of(b"a");
        let text = String::from_utf8(files.writes[0].1.clone()).unwrap();
        assert!(
            text.starts_with(&format!(
                "{{\"path\":\"a \\\"ü\\\".yaml\",\"digest\":\"{digest}\",\"tag\":\"t\\\"1\"}}\n"
            ))
        );
        assert_eq!(files.writes.len(), 1);
        assert_eq!(files.writes[0].0, "");
        assert_eq!(parse(&files.writes), record);
        assert_eq!(record.apply([put("b.yaml", "b"), delete("gone")]), RecordFiles::default());
    }

    #[test]
    fn a_record_follows_its_files_through_both_forms() {
        let mut record = Record::default();
        let mut held = BTreeMap::new();
        let steps = [
            many(0..1000),
            many(1000..1001),
            many(1001..1500),
            (0..900).map(|i| delete(&format!("a/{i}.yaml"))).collect(),
            (900..1100).map(|i| delete(&format!("a/{i}.yaml"))).collect(),
            (0..1500).map(|i| delete(&format!("a/{i}.yaml"))).collect(),
        ];
        let mut forms = Vec::new();
        for step in steps {
            store(&mut held, record.apply(step));
            let read = Record::parse(held.iter().map(|(suffix, bytes)| (suffix.as_str(), bytes.as_slice()))).unwrap();
            assert_eq!(read, record);
            assert_eq!(read.len(), record.iter().count());
            forms.push(held.len());
        }
        assert_eq!(forms[0], 1);
        assert!(forms[1] > 200 && forms[2] > 200 && forms[3] > 200, "{forms:?}");
        assert_eq!(forms[4..], [1, 0]);
    }

    #[test]
    fn one_change_of_a_sharded_record_writes_one_shard() {
        let mut record = Record::default();
        record.apply(many(0..5000));
        let files = record.apply([put("a/7.yaml", "y")]);
        assert_eq!((files.deletes.len(), files.writes.len()), (0, 1));
        assert!(files.writes[0].1.len() < 5000 * 60 / 100);
        let text = std::str::from_utf8(&files.writes[0].1).unwrap();
        assert!(text.lines().is_sorted() && text.contains("a/7.yaml"));
    }

    #[test]
    fn a_broken_line_is_named() {
        for bytes in [&b"{\"path\":\"a\",\"digest\":\"00\"}\n"[..], b"\nnot json\n", b"{\"path\":\"a\"}"] {
            let line = if bytes.starts_with(b"\n") { 2 } else { 1 };
            assert_eq!(Record::parse([("/0a", bytes)]), Err(RecordError { suffix: "/0a".into(), line }));
        }
    }
}
