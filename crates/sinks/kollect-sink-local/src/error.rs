//! What can go wrong in a directory, as errors of the export engine. Messages name paths, never contents.

use crate::folder::Trouble;
use kollect_export::{Class, SinkError};
use kollect_model::Reason;
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

/// The same for a path below the directory.
pub(crate) fn trouble(stage: &'static str, doing: &str, root: &Path, path: &str, why: Trouble) -> SinkError {
    match why {
        Trouble::Io(error) => failed(stage, doing, &root.join(path), &error),
        Trouble::Link(at) => {
            let advice = "Kollect follows no links below its directory; remove the link, or choose another directory";
            SinkError::terminal(stage, format!("{path} leads through the symbolic link {at}: {advice}"))
                .with_reason(Reason::LayoutCollision)
        }
    }
}

/// A path that another owner has.
pub(crate) fn collision(path: &str, owner: &str) -> SinkError {
    let advice = "choose another directory or path template, or move the file away";
    SinkError::terminal("write", format!("{path} is owned by {owner}: {advice}")).with_reason(Reason::LayoutCollision)
}
