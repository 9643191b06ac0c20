//! Which held files of a tree may belong to a part that cannot be listed now.
//!
//! A record lists paths, not rows. After a restart the rows of a lost part (access denied, kind not served) are
//! unknown, and their files must stay. So a held file without a row is deleted only if the template can render its
//! path, but not from a row of a lost part.

use crate::layout::pattern::{loosen, matches};
use crate::layout::spec::{DocumentSpec, Mode};
use kollect_model::TargetKey;
use std::sync::Arc;

/// Which held files are kept while parts of the view are lost.
#[derive(Clone, Debug)]
pub struct RetainedPaths {
    lost: Vec<String>,
    any_row: String,
}

impl RetainedPaths {
    /// `lost`: target and object namespace of each lost part; no namespace when the whole target is lost.
    pub fn new<'a>(spec: &DocumentSpec, lost: impl IntoIterator<Item = (&'a Arc<TargetKey>, Option<&'a str>)>) -> Self {
        let facts = spec.facts();
        if spec.mode == Mode::Document {
            // Rows of lost parts are carried over into the document.
            return Self { lost: Vec::new(), any_row: String::new() };
        }
        let pattern = |part| loosen(&spec.row_template.pattern(&facts, part));
        let mut patterns: Vec<_> =
            lost.into_iter().map(|(target, namespace)| pattern(Some((target, namespace)))).collect();
        patterns.sort_unstable();
        patterns.dedup();
        Self { lost: patterns, any_row: pattern(None) }
    }

    /// Whether a held file that is in no plan may be deleted.
    pub fn may_delete(&self, path: &str) -> bool {
        self.lost.is_empty() || (matches(&self.any_row, path) && !self.lost.iter().any(|lost| matches(lost, path)))
    }
}
