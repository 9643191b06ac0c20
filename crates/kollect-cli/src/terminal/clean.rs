//! Text from objects, files, servers and arguments, as one line that cannot control a terminal.

/// The text on one line: line breaks and every character that a terminal obeys or hides are written as escapes.
pub fn plain(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => clean.push_str("\\n"),
            '\t' => clean.push_str("\\t"),
            '\r' => clean.push_str("\\r"),
            c if is_hostile(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
    }
    clean
}

/// The same for text of several lines whose line breaks are meant. `colours` keeps the colour sequences in it, which
/// is right only where the rest of the text was cleaned before.
pub(super) fn block(text: &str, colours: bool) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = if colours { colour_sequence(rest) } else { 0 };
        let length = colour.max(c.len_utf8());
        match c {
            '\n' => clean.push('\n'),
            _ if colour > 0 => clean.push_str(&rest[..colour]),
            _ => clean.push_str(&plain(&rest[..length])),
        }
        rest = &rest[length..];
    }
    clean
}

/// Bytes of a sequence that sets colours, at the start of the text; 0 when there is none.
fn colour_sequence(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\u{1b}[") else { return 0 };
    let digits = parameters.bytes().take_while(|b| b.is_ascii_digit() || *b == b';').count();
    if parameters.as_bytes().get(digits) == Some(&b'm') { digits + 3 } else { 0 }
}

/// Whether a terminal obeys the character, or it changes the order or the visibility of others.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Marks of direction.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Ends of lines and paragraphs.
            | '\u{2028}' | '\u{2029}'
            // Invisible: the byte order mark, annotations, tags.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_steer_a_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
        assert_eq!(plain("größe 日本 👩‍🚀"), "größe 日本 👩‍🚀");
        for hostile in ["\u{9b}31m", "\u{7f}", "\0", "\u{1b}]52;c;x\u{7}", "\u{2066}", "\u{2028}", "\u{e0041}", "\r"] {
            assert!(!plain(hostile).chars().any(is_hostile), "{hostile:?}");
        }
    }

    #[test]
    fn a_block_keeps_its_lines_and_at_most_colours() {
        let text = "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m\nx\u{1b}[2J\u{1b}]0;t\u{7}\r";
        assert_eq!(block(text, true), "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m\nx\\u{1b}[2J\\u{1b}]0;t\\u{7}\\r");
        assert!(!block(text, false).contains('\u{1b}'));
        assert_eq!(block("\u{1b}[", true), "\\u{1b}[");
    }
}
