//! Maps file system errors to `SinkError`. Messages name paths, never contents.

use crate::folder::FolderError;
use kollect_export::{Class, SinkError};
use kollect_model::Reason;
use std::io;
use std::path::Path;

/// The error of an attempt on `path`, with the remedy where one is known.
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

/// As [`failed`], for a path below `root`.
pub(crate) fn failed_below(stage: &'static str, doing: &str, root: &Path, path: &str, why: FolderError) -> SinkError {
    match why {
        FolderError::Io(error) => failed(stage, doing, &root.join(path), &error),
        FolderError::Link(at) => {
            let advice = "Kollect follows no links below its directory; remove the link, or choose another directory";
            SinkError::terminal(stage, format!("{path} leads through the symbolic link {at}: {advice}"))
                .with_reason(Reason::LayoutCollision)
        }
    }
}

/// The error for a path that `owner` has.
pub(crate) fn collision(path: &str, owner: &str) -> SinkError {
    let advice = "choose another directory or path template, or move the file away";
    SinkError::terminal("write", format!("{path} is owned by {owner}: {advice}")).with_reason(Reason::LayoutCollision)
}
