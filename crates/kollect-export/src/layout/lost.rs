//! Which held files of a tree may belong to a part that cannot be listed now.
//!
//! A record knows paths, not rows. After a restart the rows of a lost part (access denied, kind not served) are unknown,
//! and their files must stay. So a held file that no row explains is deleted only if the template could have made it,
//! but not from a row of a lost part.

use super::{DocumentSpec, Mode};
use kollect_model::TargetKey;
use std::sync::Arc;

/// Stands for any text in a pattern. Sanitised values and templates contain no control characters.
pub(super) const WILD: char = '\0';
/// Stands for any text or none.
pub(super) const MAYBE: char = '\u{1}';

/// Decides about held files while parts of the view are lost.
#[derive(Clone, Debug)]
pub struct LostFiles {
    lost: Vec<String>,
    any_row: String,
}

impl LostFiles {
    /// `lost`: target and object namespace of each lost part; no namespace when the whole target is lost.
    pub fn new<'a>(spec: &DocumentSpec, lost: impl IntoIterator<Item = (&'a Arc<TargetKey>, Option<&'a str>)>) -> Self {
        let facts = spec.facts();
        if spec.mode == Mode::Document {
            // What held files say of lost parts is carried over into the document.
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

/// Leaves only [`WILD`]: a segment that may be empty vanishes with its slash, so it takes its slashes with it.
fn loosen(pattern: &str) -> String {
    let mut loose = String::with_capacity(pattern.len());
    let mut after_maybe = true;
    for segment in pattern.split('/').filter(|segment| !segment.is_empty()) {
        let maybe = segment.chars().all(|c| c == MAYBE);
        if !(maybe || after_maybe) {
            loose.push('/');
        }
        loose.extend(segment.chars().map(|c| if c == MAYBE { WILD } else { c }));
        after_maybe = maybe;
    }
    loose
}

/// Greedy matching: with only "any text" wild cards the first place of each piece is as good as any later one.
fn matches(pattern: &str, path: &str) -> bool {
    let Some((start, rest)) = pattern.split_once(WILD) else { return pattern == path };
    let Some(mut path) = path.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once(WILD).unwrap_or(("", rest));
    for piece in middle.split(WILD) {
        match path.find(piece) {
            Some(at) => path = &path[at + piece.len()..],
            None => return false,
        }
    }
    path.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_any_text_at_wild_cards() {
        for (pattern, path, wanted) in [
            ("a\0", "a", true),
            ("a\0b", "axxb", true),
            ("a\0b", "ab", true),
            ("aa\0a", "aa", false),
            ("a\0b\0c", "a-b-b-c", true),
            ("a\0b\0c", "a-c", false),
            ("a/b", "a/b", true),
            ("a/b", "a/bc", false),
            ("\0", "", true),
        ] {
            assert_eq!(matches(pattern, path), wanted, "{pattern:?} {path}");
        }
    }

    #[test]
    fn segments_that_may_be_empty_take_their_slashes_with_them() {
        assert_eq!(loosen("eu/\u{1}/shop/\0\0"), "eu\0shop/\0\0");
        assert_eq!(loosen("\u{1}/\u{1}/shop"), "\0\0shop");
        assert_eq!(loosen("eu//\u{1}_\0.yaml"), "eu/\0_\0.yaml");
    }
}
