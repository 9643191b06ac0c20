//! Comparing expected with stored rows.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What makes a row one: inventory, target and object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    /// `namespace/name` of the inventory.
    pub inventory: String,
    /// `namespace/name` of the target.
    pub target: String,
    /// The object's UID.
    pub uid: String,
}

/// How stored rows differ from what they should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Should be there and are not.
    pub missing: Vec<RowKey>,
    /// Are there and should not be.
    pub extra: Vec<RowKey>,
    /// Are there with other content.
    pub stale: Vec<RowKey>,
    /// Are there more than once.
    pub doubled: Vec<RowKey>,
}

impl Difference {
    /// No difference at all.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty() && self.stale.is_empty() && self.doubled.is_empty()
    }

    /// Fails with the numbers and the first of each sort.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.is_empty(),
            "missing {} (first {:?}), extra {} (first {:?}), stale {} (first {:?}), doubled {} (first {:?})",
            self.missing.len(),
            self.missing.first(),
            self.extra.len(),
            self.extra.first(),
            self.stale.len(),
            self.stale.first(),
            self.doubled.len(),
            self.doubled.first(),
        );
        Ok(())
    }
}

/// Compares rows read from a backend with the expected Items.
pub fn compare(expected: &BTreeMap<RowKey, Value>, stored: Vec<(RowKey, Value)>) -> Difference {
    let mut difference = Difference::default();
    let mut seen = BTreeSet::new();
    for (key, item) in stored {
        match expected.get(&key) {
            _ if seen.contains(&key) => difference.doubled.push(key.clone()),
            None => difference.extra.push(key.clone()),
            Some(wanted) if *wanted != item => difference.stale.push(key.clone()),
            Some(_) => {}
        }
        seen.insert(key);
    }
    difference.missing = expected.keys().filter(|key| !seen.contains(*key)).cloned().collect();
    difference
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_sort_of_difference_is_distinguished() {
        let key = |uid: &str| RowKey { inventory: "a/i".into(), target: "a/t".into(), uid: uid.into() };
        let expected = ["same", "missing", "stale", "doubled"].map(|uid| (key(uid), json!({"n": 1}))).into();
        let stored = [("same", 1), ("stale", 2), ("doubled", 1), ("doubled", 1), ("extra", 1)];
        let found = compare(&expected, stored.map(|(uid, n)| (key(uid), json!({"n": n}))).into());
        assert_eq!(found.missing, [key("missing")]);
        assert_eq!(found.extra, [key("extra")]);
        assert_eq!(found.stale, [key("stale")]);
        assert_eq!(found.doubled, [key("doubled")]);
        assert!(found.check().is_err());
    }
}
