//! Reading objects and faults with the public functions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod faults;
mod forms;
mod limits;

use kollect_manifest::{ManifestFormat, ManifestItem, read_objects};
use serde_json::Value;
use std::io::Cursor;

/// Objects of a text with their lines, and texts of its faults.
#[derive(Debug, Default, PartialEq)]
struct Read {
    objects: Vec<(Value, u64)>,
    faults: Vec<String>,
}

impl Read {
    /// `Kind name` of all objects.
    fn names(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        self.objects.iter().map(|(o, _)| format!("{} {}", text(&o["kind"]), text(&o["metadata"]["name"]))).collect()
    }

    fn lines(&self) -> Vec<u64> {
        self.objects.iter().map(|(_, line)| *line).collect()
    }
}

fn read(text: impl AsRef<[u8]>, format: ManifestFormat) -> Read {
    let mut all = Read::default();
    read_objects(Cursor::new(text.as_ref()), format, &mut |found| {
        match found {
            ManifestItem::Object { json, place } => all.objects.push((serde_json::from_str(json).unwrap(), place.line)),
            ManifestItem::Fault(fault) => all.faults.push(fault.to_string()),
        }
        true
    })
    .unwrap();
    all
}

fn yaml(text: &str) -> Read {
    read(text, ManifestFormat::Yaml)
}

fn json(text: &str) -> Read {
    read(text, ManifestFormat::Json)
}

/// The only value of a YAML text.
fn value(text: &str) -> Value {
    kollect_manifest::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}
