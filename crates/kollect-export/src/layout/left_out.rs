//! Rows without a file: named in the status, while the other rows are exported.

use crate::encode::manifest::NoCopy;
use crate::layout::error::{LayoutError, row_name};
use crate::layout::segments::PathError;
use kollect_model::Reason;
use kollect_model::{Row, RowId};

/// Most rows of a plan that are named.
const NAMED: usize = 1_000;

/// A row without a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The row.
    pub id: RowId,
    /// Stable reason for the condition.
    pub reason: Reason,
    /// Why, and what to do, without the row's values.
    pub why: String,
}

impl LeftOut {
    /// The path belongs to another row, or to the index.
    pub(super) fn collides(row: &Row, path: &str, owner: String) -> Self {
        let error = LayoutError::Collision { path: path.to_owned(), first: owner, second: row_name(row) };
        Self::of(row, Reason::LayoutCollision, &error)
    }

    /// The path would be a file and a folder.
    pub(super) fn is_nested(row: &Row, path: &str, other: String) -> Self {
        let error = LayoutError::Nested { path: path.to_owned(), row: row_name(row), other };
        Self::of(row, Reason::LayoutCollision, &error)
    }

    /// No path can be rendered.
    pub(super) fn nowhere(row: &Row, why: PathError) -> Self {
        Self::of(row, Reason::LayoutCollision, &LayoutError::Path { what: row_name(row), why })
    }

    /// It has no copy of its object to write.
    pub(super) fn without_copy(row: &Row) -> Self {
        Self::of(row, Reason::ExportTerminal, &LayoutError::Encode { what: row_name(row), why: NoCopy.to_string() })
    }

    fn of(row: &Row, reason: Reason, error: &LayoutError) -> Self {
        Self { id: row.id.clone(), reason, why: error.to_string() }
    }
}

/// Appends up to the bound: tenants decide how many rows are left out.
pub(super) fn note(list: &mut Vec<LeftOut>, row: impl FnOnce() -> LeftOut) {
    if list.len() < NAMED {
        list.push(row());
    }
}
