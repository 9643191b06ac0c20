//! The words of errors: each cause once, without the numbers of the operating system.

/// An error and its causes, each once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = without_numbers(&error.to_string());
    let mut source = error.source();
    while let Some(error) = source {
        let more = without_numbers(&error.to_string());
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

/// Removes ` (os error 2)`, which repeats the text before it.
pub(super) fn without_numbers(text: &str) -> String {
    const BEGIN: &str = " (os error ";
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let number = &rest[at + BEGIN.len()..];
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        let end = at + BEGIN.len() + digits;
        let whole = digits > 0 && rest[end..].starts_with(')');
        kept.push_str(if whole { &rest[..at] } else { &rest[..end] });
        rest = if whole { &rest[end + 1..] } else { &rest[end..] };
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_cause_is_named_once() {
        let inner = io::Error::other("no room");
        let outer = anyhow::Error::new(inner).context("writing: no room").context("saving");
        assert_eq!(chain(outer.as_ref()), "saving: writing: no room");
    }

    #[test]
    fn numbers_of_the_operating_system_are_left_out() {
        let missing = io::Error::from_raw_os_error(2);
        let outer = anyhow::Error::new(missing).context("reading a.yaml: No such file or directory (os error 2)");
        assert_eq!(chain(outer.as_ref()), "reading a.yaml: No such file or directory");
        assert_eq!(without_numbers("a (os error x) b (os error 13): c (os error "), "a (os error x) b: c (os error ");
    }
}
