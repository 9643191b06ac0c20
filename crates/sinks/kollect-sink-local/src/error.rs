//! What can go wrong in a directory, as the export engine wants to hear it.
//!
//! Separate so that every place says the same for the same trouble. Messages name paths, never contents.

use kollect_export::{Class, SinkError};
use std::io;
use std::path::Path;

/// Says what was attempted on which path, and what to do where that is known.
pub(crate) fn failed(stage: &'static str, doing: &str, path: &Path, error: &io::Error) -> SinkError {
    let (class, advice) = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            (Class::Terminal, ": give this user the right to, or choose another directory")
        }
        io::ErrorKind::ReadOnlyFilesystem => (Class::Terminal, ": choose a directory that can be written"),
        io::ErrorKind::InvalidFilename => {
            (Class::Terminal, ": choose a path template that makes shorter, plainer names")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (Class::Transient { retry_after: None }, ": make room")
        }
        _ => (Class::Transient { retry_after: None }, ""),
    };
    let message = format!("{doing} {}: {error}{advice}", path.display());
    SinkError { class, ..SinkError::transient(stage, message) }
}

/// A path that is somebody else's.
pub(crate) fn collision(path: &str, owner: &str) -> SinkError {
    let advice = "choose another directory or path template, or move the file away";
    SinkError::terminal("write", format!("{path} is owned by {owner}: {advice}")).with_reason("LayoutCollision")
}
