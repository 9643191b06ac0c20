//! Patterns of rendered paths, for values that are not known.

/// Matches any text. Sanitised values and templates contain no control characters.
pub(super) const ANY_TEXT: char = '\0';
/// Matches any text or none.
pub(super) const OPTIONAL_TEXT: char = '\u{1}';

/// Replaces [`OPTIONAL_TEXT`] by [`ANY_TEXT`]. A segment that may be empty is dropped with its slash, so its slashes
/// become part of the wild card.
pub(super) fn loosen(pattern: &str) -> String {
    let mut loose = String::with_capacity(pattern.len());
    let mut after_maybe = true;
    for segment in pattern.split('/').filter(|segment| !segment.is_empty()) {
        let maybe = segment.chars().all(|c| c == OPTIONAL_TEXT);
        if !(maybe || after_maybe) {
            loose.push('/');
        }
        loose.extend(segment.chars().map(|c| if c == OPTIONAL_TEXT { ANY_TEXT } else { c }));
        after_maybe = maybe;
    }
    loose
}

/// Greedy matching: with only "any text" wild cards the first position of each piece suffices.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let Some((start, rest)) = pattern.split_once(ANY_TEXT) else { return pattern == path };
    let Some(mut path) = path.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once(ANY_TEXT).unwrap_or(("", rest));
    for piece in middle.split(ANY_TEXT) {
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
    fn slashes_of_segments_that_may_be_empty_are_part_of_the_wild_card() {
        assert_eq!(loosen("eu/\u{1}/shop/\0\0"), "eu\0shop/\0\0");
        assert_eq!(loosen("\u{1}/\u{1}/shop"), "\0\0shop");
        assert_eq!(loosen("eu//\u{1}_\0.yaml"), "eu/\0_\0.yaml");
    }
}
