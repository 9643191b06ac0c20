//! How far a binding has delivered.

use kollect_model::Version;
use kollect_store::View;

/// How far a binding has delivered.
#[derive(Clone, Debug)]
pub enum Cursor {
    /// Not known: read back what the sink holds.
    Unknown,
    /// The sink has the view up to the version.
    Known {
        /// The delivered view.
        view: View,
        /// Its version.
        version: Version,
    },
    /// Some pages of a delta to another view or version are delivered.
    Underway(PagedDelta),
}

/// The changes from one view and version to a view now, in pages.
#[derive(Clone, Debug)]
pub struct PagedDelta {
    pub(super) old: View,
    pub(super) since: Version,
    pub(super) new: View,
    pub(super) began: Version,
    pub(super) after: Version,
}

impl PagedDelta {
    pub(super) fn new(old: View, since: Version, new: View, began: Version) -> Self {
        Self { old, since, new, began, after: Version(0) }
    }
}
