//! The documents of a directory, in the order of their files.
//!
//! Separate from what they mean.

use super::error::{ConfigError, Origin};
use kollect_collect::manifests::Documents;
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const FORMATS: [&str; 3] = ["yaml", "yml", "json"];

/// One object and where it was read.
pub(super) struct Document {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// All documents of a file, or of all files directly in a directory.
pub(super) fn documents(dir: &Path) -> Result<Vec<Document>, ConfigError> {
    let failed = |place: &Path, source: io::Error| ConfigError::Read { place: place.display().to_string(), source };
    let mut files: Vec<PathBuf> = Vec::new();
    let single = dir.is_file();
    if single {
        files.push(dir.to_owned());
    }
    for entry in
        (!single).then(|| fs::read_dir(dir)).transpose().map_err(|error| failed(dir, error))?.into_iter().flatten()
    {
        let path = entry.map_err(|error| failed(dir, error))?.path();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        if extension.is_some_and(|extension| FORMATS.contains(&extension.as_str())) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|error| failed(&file, error))?;
        let values = if file.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            vec![(0, from_json(&file, &text)?)]
        } else {
            from_yaml(&file, &text)?
        };
        for (number, value) in values {
            let origin = Origin { file: file.display().to_string().into(), document: number };
            flatten(&origin, value, &mut all);
        }
    }
    Ok(all)
}

fn from_json(file: &Path, text: &str) -> Result<Value, ConfigError> {
    serde_json::from_str(text).map_err(|error| ConfigError::Syntax {
        origin: Origin { file: file.display().to_string().into(), document: 0 },
        line: error.line() as u64,
        why: format!("not valid JSON ({error})"),
    })
}

fn from_yaml(file: &Path, text: &str) -> Result<Vec<(usize, Value)>, ConfigError> {
    let name = file.display().to_string();
    let mut values = Vec::new();
    for document in Documents::new(text.as_bytes()) {
        let document = document.map_err(|source| ConfigError::Read { place: name.clone(), source })?;
        if document.is_empty() {
            continue;
        }
        let options = serde_saphyr::options! { with_snippet: false };
        let value = serde_saphyr::from_str_with_options::<Value>(&document.text, options).map_err(|error| {
            let within = error.location().map_or(1, |location| location.line());
            ConfigError::Syntax {
                origin: Origin { file: name.as_str().into(), document: document.number },
                line: document.lines_before + within,
                why: format!("not valid YAML ({})", error.to_string().lines().next().unwrap_or_default()),
            }
        })?;
        values.push((document.number, value));
    }
    if let [(number, _)] = values.as_mut_slice() {
        *number = 0;
    }
    Ok(values)
}

/// The objects of a list count one by one.
fn flatten(origin: &Origin, mut value: Value, all: &mut Vec<Document>) {
    let is_list = value["kind"] == "List" && value["items"].is_array();
    if let Some(items) = value.get_mut("items").and_then(Value::as_array_mut).filter(|_| is_list) {
        for item in std::mem::take(items) {
            flatten(origin, item, all);
        }
    } else if !value.is_null() {
        all.push(Document { origin: origin.clone(), value });
    }
}
