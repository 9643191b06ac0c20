//! Errors that stop the reading of manifests. Single unreadable files and documents are in the summary instead.

use super::summary::BadInput;
use std::io;

/// Manifests that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A path that was given cannot be read.
    #[error("cannot read {place}: {source}")]
    Read {
        /// File or folder.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// A folder without any file of a known format.
    #[error(
        "{place} has no file that ends in .yaml, .yml, .json, .ndjson or .jsonl, apart from those that --exclude and \
         .kollectignore leave out"
    )]
    Empty {
        /// The folder.
        place: String,
    },
    /// A pattern that cannot be used.
    #[error("{place}: the pattern {pattern:?} is empty")]
    Pattern {
        /// Where the pattern comes from.
        place: String,
        /// The pattern.
        pattern: String,
    },
    /// With `strict`: the first part that cannot be read.
    #[error("{0}; nothing is written, because --strict stops at the first fault")]
    Strict(BadInput),
    /// Reading was stopped.
    #[error("stopped while reading manifests")]
    Stopped,
}
