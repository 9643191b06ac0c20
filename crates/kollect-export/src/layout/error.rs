//! Why rows cannot become files.

use crate::contract::error::{DependsOn, SinkError};
use crate::layout::segments::PathError;
use kollect_model::Reason;
use kollect_model::Row;

/// Why rows cannot become files, or one row not. Never contains values of rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Two rows have one path.
    #[error(
        "{first} and {second} both render to {path}: add {{targetName}}, {{group}} or {{uid}} to layout.pathTemplate, or \
         raise layout.filename.maxSegmentLength"
    )]
    Collision {
        /// The path.
        path: String,
        /// The row that comes first in canonical order.
        first: String,
        /// The other row.
        second: String,
    },
    /// One path would be a file and a folder.
    #[error(
        "{row} renders to {path}, which cannot stand beside {other}, because a file cannot be a folder as well: end \
         layout.pathTemplate in {{extension}}, or begin it with {{kind}}"
    )]
    Nested {
        /// The path.
        path: String,
        /// The row that is left out.
        row: String,
        /// What is in its way.
        other: String,
    },
    /// A path cannot be rendered.
    #[error("no path for {what}: {why}")]
    Path {
        /// The row or inventory.
        what: String,
        /// Why.
        why: PathError,
    },
    /// Over the ceiling and not divisible.
    #[error("{what} has {size} bytes and the limit is {limit}: {advice}")]
    PayloadTooLarge {
        /// The document, or the row.
        what: String,
        /// Bytes it has.
        size: u64,
        /// Bytes it may have.
        limit: u64,
        /// What to do.
        advice: &'static str,
    },
    /// Needs an object store.
    #[error(
        "the document has {size} bytes; above {limit} bytes an s3 or gcs snapshot sink must be bound: add one, or set \
         spec.partitioning to Auto"
    )]
    SpillRequired {
        /// Bytes it has.
        size: u64,
        /// Bytes it may have without an object store.
        limit: u64,
    },
    /// A row cannot be encoded.
    #[error("cannot encode {what}: {why}")]
    Encode {
        /// The row.
        what: String,
        /// Kind of the error, without values.
        why: String,
    },
}

impl LayoutError {
    /// Stable reason for the condition; `None` means `ExportTerminal`.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Collision { .. } | Self::Nested { .. } => Some(Reason::LayoutCollision),
            Self::PayloadTooLarge { .. } => Some(Reason::PayloadTooLarge),
            Self::SpillRequired { .. } => Some(Reason::SpillRequired),
            Self::Path { .. } | Self::Encode { .. } => None,
        }
    }

    /// As the outcome of a cycle: terminal until the rows change, and nothing landed.
    pub fn into_sink_error(self) -> SinkError {
        let depends_on = if matches!(self, Self::Path { .. }) { DependsOn::Spec } else { DependsOn::Rows };
        let error = SinkError::terminal("layout", self.to_string()).depending_on(depends_on);
        SinkError { reason: self.reason(), ..error }
    }
}

/// A row in messages: `Deployment shop/cart (target shop/workloads)`.
pub(super) fn row_name(row: &Row) -> String {
    format!("{} (target {})", row.object, row.id.target)
}
