//! The tree of pruned places, from JSON pointers and dotted paths; traversed together with the object.

use crate::error::PathError;
use std::collections::BTreeMap;

/// Most nodes of a tree.
pub(super) const MAX_NODES: usize = 16_384;
/// Longer pointers are ignored: no JSON is that deep.
const MAX_STEPS: usize = 128;

/// A place of the object, with the pruned places below it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Prune {
    /// The whole place is pruned.
    pub(super) dropped: bool,
    fields: BTreeMap<Box<str>, Self>,
    indexes: BTreeMap<usize, Self>,
}

/// One step to a place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PruneStep {
    Field(Box<str>),
    Index(usize),
    /// A key of an object or an index of a list, depending on the value.
    Either(Box<str>, usize),
}

impl Prune {
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        self.fields.get(name)
    }

    pub(super) fn index(&self, index: usize) -> Option<&Self> {
        self.indexes.get(&index)
    }

    pub(super) fn drops(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|place| place.dropped)
    }

    /// Prunes a place given by keys.
    pub(super) fn drop_fields(&mut self, path: &[&str]) {
        let mut place = self;
        for name in path {
            place = place.fields.entry((*name).into()).or_default();
        }
        place.dropped = true;
    }

    /// Prunes the place of a JSON pointer. A lone `/` is ignored.
    pub(super) fn drop_pointer(&mut self, pointer: &str, left: &mut usize) -> Result<(), PathError> {
        let Some(tokens) = pointer.strip_prefix('/') else {
            return Err(PathError::at(0, "a JSON pointer starts with /"));
        };
        if let Some((bad, _)) = pointer.match_indices('~').find(|(at, _)| !pointer[at + 1..].starts_with(['0', '1'])) {
            return Err(PathError::at(bad, "a JSON pointer writes ~ as ~0 and / as ~1"));
        }
        if tokens.is_empty() {
            return Ok(());
        }
        let steps: Vec<PruneStep> = tokens
            .split('/')
            .map(|token| {
                let name: Box<str> = token.replace("~1", "/").replace("~0", "~").into();
                match index(token) {
                    Some(index) => PruneStep::Either(name, index),
                    None => PruneStep::Field(name),
                }
            })
            .collect();
        self.drop_steps(&steps, left)
    }

    /// Prunes the place of a dotted path. Paths with wildcards, filters or slices are ignored.
    pub(super) fn drop_path(&mut self, path: &str, left: &mut usize) -> Result<(), PathError> {
        match dotted(path.trim()) {
            Some(steps) if !steps.is_empty() => self.drop_steps(&steps, left),
            _ => Ok(()),
        }
    }

    fn drop_steps(&mut self, steps: &[PruneStep], left: &mut usize) -> Result<(), PathError> {
        if steps.len() > MAX_STEPS {
            return Ok(());
        }
        self.insert(steps, left).ok_or_else(|| PathError::new("there is too much to leave out; name fewer places"))
    }

    fn insert(&mut self, steps: &[PruneStep], left: &mut usize) -> Option<()> {
        let [first, rest @ ..] = steps else {
            self.dropped = true;
            return Some(());
        };
        let (field, index) = match first {
            PruneStep::Field(name) => (Some(name), None),
            PruneStep::Index(index) => (None, Some(*index)),
            PruneStep::Either(name, index) => (Some(name), Some(*index)),
        };
        *left = left.checked_sub(2)?;
        if let Some(name) = field {
            self.fields.entry(name.clone()).or_default().insert(rest, left)?;
        }
        if let Some(index) = index {
            self.indexes.entry(index).or_default().insert(rest, left)?;
        }
        Some(())
    }
}

/// A text as index: no sign and no leading zero.
fn index(text: &str) -> Option<usize> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// Whether a path of `export.prune.jsonPaths` names a place. Others are accepted and ignored.
pub fn is_prune_path(path: &str) -> bool {
    dotted(path.trim()).is_some_and(|steps| !steps.is_empty())
}

/// The steps of `$.a.b["c"]['d'][0]`, with or without `$` and braces; `None` for other paths.
fn dotted(path: &str) -> Option<Vec<PruneStep>> {
    let path = path.strip_prefix('{').map_or(Some(path), |inner| inner.strip_suffix('}'))?;
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            if let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) {
                let (name, after) = after[1..].split_once(quote)?;
                steps.push(PruneStep::Field(name.into()));
                rest = after.strip_prefix(']')?;
            } else {
                let (number, after) = after.split_once(']')?;
                steps.push(PruneStep::Index(index(number)?));
                rest = after;
            }
            continue;
        }
        let name_start = rest.strip_prefix('.').or_else(|| steps.is_empty().then_some(rest))?;
        let end = name_start.find(['.', '[']).unwrap_or(name_start.len());
        let name = &name_start[..end];
        if name.is_empty() || name.contains(['*', '?', '(', ')', '@', ',', ':', ']', '"', '\'', '\\', '{', '}', '$']) {
            return None;
        }
        steps.push(PruneStep::Field(name.into()));
        rest = &name_start[end..];
    }
    Some(steps)
}
