//! What a reading of manifests found beside rows: always counted, and listed up to a limit.

use std::fmt;
use std::sync::Arc;

/// Items per list; more are only counted.
const NAMED: usize = 1_000;

/// What was in the manifests.
#[derive(Clone, Debug, Default)]
pub struct ManifestSummary {
    /// Objects of kinds that a target collects.
    pub objects: u64,
    /// Objects of other kinds.
    pub unwanted: u64,
    /// Parts that are not Kubernetes objects.
    pub strange: CappedList<NonObject>,
    /// Objects that came more than once; the last one counts.
    pub repeated: CappedList<RepeatedObject>,
    /// Files, documents and namespaces that cannot be read.
    pub faults: CappedList<BadInput>,
}

/// A list that keeps the first items and counts all.
#[derive(Clone, Debug)]
pub struct CappedList<T> {
    /// How many there are.
    pub count: u64,
    /// The first thousand.
    pub named: Vec<T>,
}

impl<T> Default for CappedList<T> {
    fn default() -> Self {
        Self { count: 0, named: Vec::new() }
    }
}

impl<T> CappedList<T> {
    pub(super) fn add(&mut self, one: T) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(one);
        }
    }

    pub(super) fn append(&mut self, other: &Self)
    where
        T: Clone,
    {
        self.count += other.count;
        self.named.extend(other.named.iter().take(NAMED.saturating_sub(self.named.len())).cloned());
    }
}

/// A place in an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPlace {
    /// The file; `-` for standard input.
    pub file: Arc<str>,
    /// 1-based.
    pub line: u64,
}

impl fmt::Display for InputPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A part that is not a Kubernetes object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonObject {
    /// Where.
    pub place: InputPlace,
    /// Why it is none.
    pub why: NonObjectReason,
}

impl fmt::Display for NonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

/// Why a part is not a Kubernetes object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NonObjectReason {
    /// A text, a number, a list in a list.
    NoMap,
    /// `kind` is missing or no text.
    NoKind,
    /// `apiVersion` is missing or no text.
    NoApiVersion,
}

impl fmt::Display for NonObjectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMap => "not a map",
            Self::NoKind => "no kind",
            Self::NoApiVersion => "no apiVersion",
        })
    }
}

/// An object that is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepeatedObject {
    /// Kind, namespace and name.
    pub object: String,
    /// Where the object that counts is.
    pub place: InputPlace,
    /// Where the earlier one is.
    pub earlier: InputPlace,
}

impl fmt::Display for RepeatedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} stands already in {}; the last one counts", self.place, self.object, self.earlier)
    }
}

/// A file or a part of one that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadInput {
    /// `file` or `file:line:column`.
    pub place: String,
    /// Why, and what to do.
    pub why: String,
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}
