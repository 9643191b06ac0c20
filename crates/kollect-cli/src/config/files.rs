//! The documents of a directory, in the order of their files.

use super::error::{ConfigError, DocumentOrigin};
use kollect_manifest::{ManifestFault, ManifestFormat, decode, documents as manifest_documents, objects as objects_of};
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FORMATS: [&str; 3] = ["yaml", "yml", "json"];

/// One object and where it was read.
pub(super) struct ConfigDocument {
    pub(super) origin: DocumentOrigin,
    pub(super) value: Value,
}

/// All documents of a file, or of all files directly in a directory.
pub(super) fn documents(dir: &Path) -> Result<Vec<ConfigDocument>, ConfigError> {
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
        let bytes = fs::read(&file).map_err(|error| failed(&file, error))?;
        read(&file, &bytes, &mut all)?;
    }
    Ok(all)
}

/// The objects of a file; those of a list count one by one.
fn read(file: &Path, bytes: &[u8], all: &mut Vec<ConfigDocument>) -> Result<(), ConfigError> {
    let name: Arc<str> = file.display().to_string().into();
    let syntax = |fault: ManifestFault| ConfigError::Syntax { file: name.clone(), fault };
    let extension = file.extension().map(|extension| extension.to_string_lossy().into_owned()).unwrap_or_default();
    let text = decode(bytes).map_err(syntax)?;
    let documents = manifest_documents(&text, ManifestFormat::of_extension(&extension));
    let single = documents.len() == 1;
    for document in documents {
        let value = document.value.map_err(syntax)?;
        let origin = DocumentOrigin { file: name.clone(), document: if single { 0 } else { document.number } };
        let objects = if value.is_array() { value.as_array().cloned().unwrap_or_default() } else { vec![value] };
        let objects = objects.iter().flat_map(objects_of).filter(|value| !value.is_null());
        all.extend(objects.map(|value| ConfigDocument { origin: origin.clone(), value }));
    }
    Ok(())
}
