//! What can be wrong with a file of manifests.
//!
//! Separate because readers of every format report the same way. Messages never repeat what a file contains.

use std::io;

/// Manifests that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file or folder cannot be read.
    #[error("cannot read {place}: {source}")]
    Read {
        /// File or folder.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// A folder without any file of a known format.
    #[error("{place} has no file that ends in .yaml, .yml, .json, .ndjson or .jsonl")]
    Empty {
        /// The folder.
        place: String,
    },
    /// The text is not what its format says.
    #[error("{place}, line {line}: {why}")]
    Syntax {
        /// File.
        place: String,
        /// 1-based.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// Reading was stopped.
    #[error("stopped while reading manifests")]
    Stopped,
}

/// What is wrong with one text, before it is known which file it is in.
#[derive(Debug)]
pub(super) enum TextError {
    Io(io::Error),
    Syntax { line: u64, why: String },
    Stopped,
}

impl TextError {
    pub(super) fn at(self, place: &str) -> ManifestError {
        let place = place.to_owned();
        match self {
            Self::Io(source) => ManifestError::Read { place, source },
            Self::Syntax { line, why } => ManifestError::Syntax { place, line, why },
            Self::Stopped => ManifestError::Stopped,
        }
    }
}

impl From<serde_json::Error> for TextError {
    fn from(error: serde_json::Error) -> Self {
        let line = error.line() as u64;
        if error.is_io() {
            return Self::Io(error.into());
        }
        Self::Syntax { line, why: format!("not valid JSON ({})", kind_of(&error)) }
    }
}

/// The error's own text without the position; data errors are ours and name no values.
pub(super) fn kind_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}
