//! Reads files, directories and standard input as texts.
//!
//! A file that cannot be read ends the command; one that cannot be parsed is a finding.

use crate::source_map::{SourceText, SyntaxError};
use kollect_manifest::decode;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A text that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A file or directory.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Standard input.
    #[error("reading standard input: {0}")]
    Stdin(std::io::Error),
    /// Standard input without a text.
    #[error("standard input is empty: the program that should write to it has failed, or - is not meant")]
    NoInput,
    /// A directory without manifests.
    #[error("{}: no *.yaml, *.yml or *.json file is in this directory", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
}

/// Reads a directory, and files, directories or `-`.
pub fn read_inputs(directory: Option<&Path>, files: &[PathBuf]) -> Result<Vec<SourceText>, InputError> {
    let mut sources = Vec::new();
    // A configuration may be one file, too.
    for file in directory.into_iter().chain(files.iter().map(PathBuf::as_path)) {
        if file.as_os_str() == "-" {
            let mut text = Vec::new();
            std::io::stdin().lock().read_to_end(&mut text).map_err(InputError::Stdin)?;
            if text.iter().all(u8::is_ascii_whitespace) {
                return Err(InputError::NoInput);
            }
            sources.push(source("<stdin>".to_owned(), &text));
        } else if file.is_dir() {
            sources.extend(read_directory(file)?);
        } else {
            sources.push(read_file(file)?);
        }
    }
    Ok(sources)
}

/// Reads the manifests of a directory, not of those in it, in the order of their names.
pub fn read_directory(directory: &Path) -> Result<Vec<SourceText>, InputError> {
    let fail = |source| InputError::Read { path: directory.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml" | "json")) && path.is_file() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(InputError::Empty { path: directory.to_owned() });
    }
    paths.sort();
    paths.iter().map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> Result<SourceText, InputError> {
    let text = std::fs::read(path).map_err(|source| InputError::Read { path: path.to_owned(), source })?;
    Ok(source(path.display().to_string(), &text))
}

/// Text of any encoding that manifests have. Of another, what is no text is a finding at its place.
fn source(name: String, text: &[u8]) -> SourceText {
    match decode(text) {
        Ok(text) => SourceText::parse(name, text),
        Err(fault) => {
            let text = String::from_utf8_lossy(text).into_owned();
            let line = usize::try_from(fault.place.line.saturating_sub(1)).unwrap_or(0);
            let byte = text.split_inclusive('\n').take(line).map(str::len).sum();
            let error = SyntaxError { document: 1, span: byte..byte, message: fault.what.to_string() };
            SourceText { name, text, documents: Vec::new(), errors: vec![error] }
        }
    }
}
