//! Patterns with wild cards, in work bounded by the length of the pattern times the length of the text.

/// A pattern in which `*` matches any run of characters and `?` exactly one; everything else matches itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<char>);

impl Glob {
    /// Every text is a pattern.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.chars().collect())
    }

    /// Whether a text has wild cards.
    pub fn has_wild_card(text: &str) -> bool {
        text.contains(['*', '?'])
    }

    /// Whether the pattern matches the whole text.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        matches_sequence(&self.0, &text, |part| *part == '*', |part, c| *part == '?' || part == c)
    }
}

/// Whether a pattern of parts matches a whole sequence: a part that `is_run` matches any number of items, any other one
/// item that it `fits`.
///
/// Each pair of part and item is compared at most once, since only the last run is ever extended.
pub fn matches_sequence<P, T>(
    pattern: &[P],
    items: &[T],
    is_run: impl Fn(&P) -> bool,
    fits: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut part, mut item) = (0, 0);
    // The last run: the part behind it, and the first item that it has not taken.
    let mut run: Option<(usize, usize)> = None;
    while item < items.len() {
        match pattern.get(part) {
            Some(p) if is_run(p) => {
                part += 1;
                run = Some((part, item));
            }
            Some(p) if fits(p, &items[item]) => {
                part += 1;
                item += 1;
            }
            _ => {
                let Some((behind, untaken)) = run else { return false };
                run = Some((behind, untaken + 1));
                part = behind;
                item = untaken + 1;
            }
        }
    }
    pattern[part..].iter().all(is_run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("?b", "ab", true),
            ("?b", "b", false),
            ("?", "ü", true),
            ("*-*-x", "a-b-c-x", true),
            ("*ab", "aab", true),
            ("a**", "a", true),
            ("a", "a", true),
            ("a", "A", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn each_part_is_compared_with_each_item_at_most_once() {
        let pattern: Vec<char> = "*a".repeat(300).chars().chain(['b']).collect();
        let text = vec!['a'; 1000];
        let compared = std::cell::Cell::new(0_usize);
        let fits = |part: &char, c: &char| {
            compared.set(compared.get() + 1);
            part == c
        };
        assert!(!matches_sequence(&pattern, &text, |part| *part == '*', fits));
        assert!(compared.get() <= pattern.len() * text.len());
    }
}
