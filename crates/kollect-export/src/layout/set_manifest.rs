//! The manifest of a tree that was exported in several parts: which files belong together.
//!
//! Kollect writes trees file by file and needs none in Git. Readers of a tree in an object store, or of an earlier
//! release, verify with it that the tree is complete.

use crate::contract::ids::InventoryKey;
use kollect_model::SCHEMA_VERSION;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const KIND: &str = "KollectExportSetManifest";
const ENDING: &str = ".manifest.json";

/// The files of one export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetManifest {
    kind: String,
    schema_version: String,
    /// `spec.cluster` of the sink, or `default`.
    pub cluster: String,
    /// Namespace of the inventory.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its `metadata.generation`.
    #[serde(default)]
    pub generation: i64,
    /// Number of parts.
    #[serde(default)]
    pub part_total: u32,
    /// Their numbers.
    #[serde(default)]
    pub parts: Vec<u32>,
    /// RFC 3339 UTC.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub exported_at: String,
    /// Every data file of every part, sorted.
    pub paths: Vec<String>,
}

/// How a tree differs from its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetFault {
    /// A file is missing.
    Missing(String),
    /// A file is not in the manifest.
    Stale(String),
    /// The manifest belongs to another generation of the inventory.
    Generation {
        /// The generation that was expected.
        expected: i64,
        /// The generation of the manifest.
        found: i64,
    },
}

impl SetManifest {
    /// Parses a manifest; `None` when the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let manifest: Self = serde_json::from_str(text).ok()?;
        (manifest.kind == KIND && manifest.schema_version == SCHEMA_VERSION).then_some(manifest)
    }

    /// Its text: indented JSON and a line feed.
    pub fn text(&self) -> String {
        // Strings and numbers always serialise.
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        format!("{json}\n")
    }

    /// Path of the manifest of an inventory.
    pub fn path(inventory: &InventoryKey) -> String {
        format!("inventory/{}/{}{ENDING}", inventory.namespace, inventory.name)
    }

    /// How a tree of these files differs; empty when it is complete.
    pub fn verify(&self, files: &BTreeSet<String>, expected: Option<i64>) -> Vec<SetFault> {
        let missing = missing(&self.paths, files).cloned().map(SetFault::Missing);
        let named: BTreeSet<&String> = self.paths.iter().collect();
        let is_stale = |path: &&String| !named.contains(path) && !path.ends_with(ENDING);
        let stale = files.iter().filter(is_stale).cloned().map(SetFault::Stale);
        let generation = expected
            .filter(|expected| *expected != self.generation)
            .map(|expected| SetFault::Generation { expected, found: self.generation });
        missing.chain(stale).chain(generation).collect()
    }
}

/// The paths without a file.
pub fn missing<'p>(paths: &'p [String], files: &BTreeSet<String>) -> impl Iterator<Item = &'p String> {
    paths.iter().filter(|path| !files.contains(*path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
  "kind": "KollectExportSetManifest",
  "schemaVersion": "kollect.dev/v1alpha1",
  "cluster": "default",
  "namespace": "shop",
  "name": "daily",
  "generation": 4,
  "partTotal": 3,
  "parts": [
    1,
    2,
    3
  ],
  "exportedAt": "2026-03-02T08:15:30Z",
  "paths": [
    "default/shop/configmap/a.yaml",
    "default/shop/configmap/b.yaml",
    "default/shop/configmap/c.yaml"
  ]
}
"#;

    #[test]
    fn a_manifest_is_read_and_written_byte_for_byte() {
        let manifest = SetManifest::parse(TEXT).unwrap();
        assert_eq!(manifest.text(), TEXT);
        let daily = InventoryKey { namespace: "shop".into(), name: "daily".into() };
        assert_eq!(SetManifest::path(&daily), "inventory/shop/daily.manifest.json");
        for other in ["{}", "[]", &TEXT.replace(KIND, "Other"), &TEXT.replace("v1alpha1", "v2")] {
            assert_eq!(SetManifest::parse(other), None);
        }
    }

    #[test]
    fn a_tree_is_whole_when_it_has_what_is_named_and_nothing_else() {
        let manifest = SetManifest::parse(TEXT).unwrap();
        let path = |name: &str| format!("default/shop/configmap/{name}.yaml");
        let (a, b, c) = (path("a"), path("b"), path("c"));
        let of = "inventory/shop/daily.manifest.json";
        let verdict = |files: &[&str], expected| {
            manifest.verify(&files.iter().map(|path| (*path).to_owned()).collect(), expected)
        };
        assert_eq!(verdict(&[&a, &b, &c, of], Some(4)), []);
        assert_eq!(verdict(&[&a, &b, &c], None), []);
        assert_eq!(verdict(&[&a, &c], Some(4)), [SetFault::Missing(b.clone())]);
        assert_eq!(verdict(&[&a, &b, &c, "old/x.yaml"], Some(4)), [SetFault::Stale("old/x.yaml".to_owned())]);
        assert_eq!(verdict(&[&a, &b, &c], Some(5)), [SetFault::Generation { expected: 5, found: 4 }]);
    }
}
