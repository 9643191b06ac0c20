//! The ranges of a text that are replaced.

/// Replaces a secret, alone or within a text.
pub const REDACTED: &str = "***";

#[derive(Default)]
pub(super) struct Edits(Vec<(usize, usize)>);

impl Edits {
    /// Hides the bytes from `start` to `end`.
    pub(super) fn hide(&mut self, start: usize, end: usize) {
        if start < end {
            self.0.push((start, end));
        }
    }

    /// The text with all places replaced, or nothing when that changes nothing. Places that touch become one.
    pub(super) fn apply(mut self, text: &str) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.sort_unstable();
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for (start, end) in self.0 {
            let (start, end) = (text.floor_char_boundary(start), text.ceil_char_boundary(end));
            if start > copied || copied == 0 && out.is_empty() {
                out.push_str(&text[copied..start]);
                out.push_str(REDACTED);
            }
            copied = copied.max(end);
        }
        out.push_str(&text[copied..]);
        (out != text).then_some(out)
    }
}

/// The end of the place that `at` lies in.
pub(super) fn skipped(skip: &[(usize, usize)], at: usize) -> Option<usize> {
    let next = skip.partition_point(|(_, end)| *end <= at);
    skip.get(next).filter(|(start, _)| *start <= at).map(|(_, end)| *end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_replaced_in_any_order_and_once() {
        let mut edits = Edits::default();
        edits.hide(6, 8);
        edits.hide(0, 2);
        edits.hide(1, 3);
        edits.hide(3, 4);
        edits.hide(5, 5);
        assert_eq!(edits.apply("abcdefghi").as_deref(), Some("***ef***i"));
        assert_eq!(Edits::default().apply("abc"), None);
    }
}
