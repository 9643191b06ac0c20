//! How one string is written in YAML: plain, quoted or as a literal block.
//!
//! The choice is the one Go's YAML library makes: double quotes where the plain text would be read as another type,
//! single quotes where it would be read as syntax, a literal block for text of several lines.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

pub(super) fn indent(column: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + column, b' ');
}

/// Appends a string as a value. `column` is where the lines of a literal block start. No final line end.
pub(super) fn write_value(text: &str, column: usize, out: &mut Vec<u8>) {
    match style(text) {
        Style::Plain => out.extend_from_slice(text.as_bytes()),
        Style::Single => single(text, out),
        Style::Double => double(text, out),
        Style::Literal => literal(text, column, out),
    }
}

/// Appends a string as a key, always on one line.
pub(super) fn write_key(text: &str, out: &mut Vec<u8>) {
    match style(text) {
        Style::Plain => out.extend_from_slice(text.as_bytes()),
        Style::Single => single(text, out),
        Style::Double | Style::Literal => double(text, out),
    }
}

fn style(text: &str) -> Style {
    if text.chars().any(needs_escape) {
        return Style::Double;
    }
    if text.contains('\n') {
        // A first line that is empty or starts with a space needs an indentation hint, and a space before a line end is
        // invisible and easily lost; quotes show both.
        let safe = !text.starts_with([' ', '\n']) && !text.ends_with(' ') && !text.contains(" \n");
        return if safe { Style::Literal } else { Style::Double };
    }
    if is_other_type(text) {
        Style::Double
    } else if is_plain(text) {
        Style::Plain
    } else {
        Style::Single
    }
}

/// Not printable in YAML, or a line end other than LF, or a tab, which some readers refuse at the start of a line.
fn needs_escape(c: char) -> bool {
    !matches!(c, '\n' | ' '..='~' | '\u{A0}'..='\u{2027}' | '\u{202A}'..='\u{D7FF}' | '\u{E000}'..='\u{FEFE}' | '\u{FF00}'..='\u{FFFD}')
}

/// Whether a plain scalar with this one-line text is read back as the text.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    if first == b' ' || last == b' ' || text.starts_with("---") || text.starts_with("...") {
        return false;
    }
    let ends_word = |at: usize| bytes.get(at + 1).is_none_or(|&next| next == b' ');
    match first {
        b'#' | b',' | b'[' | b']' | b'{' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%' | b'@'
        | b'`' => {
            return false;
        }
        b'?' | b':' | b'-' if ends_word(0) => return false,
        _ => {}
    }
    !bytes
        .iter()
        .enumerate()
        .skip(1)
        .any(|(at, &c)| (c == b':' && ends_word(at)) || (c == b'#' && bytes[at - 1] == b' '))
}

/// Whether YAML 1.1 or 1.2 reads the plain text as null, a boolean, a number, a date or a merge key.
fn is_other_type(text: &str) -> bool {
    matches!(
        text,
        "" | "~"
            | "null"
            | "Null"
            | "NULL"
            | "y"
            | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "true"
            | "True"
            | "TRUE"
            | "false"
            | "False"
            | "FALSE"
            | "on"
            | "On"
            | "ON"
            | "off"
            | "Off"
            | "OFF"
            | "<<"
            | "="
            | ".nan"
            | ".NaN"
            | ".NAN"
    ) || is_number(text)
        || is_date(text.as_bytes())
        || is_base_60(text)
}

fn is_number(text: &str) -> bool {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return false;
    }
    let digits = text.replace('_', "");
    let digits = digits.strip_prefix(['+', '-']).unwrap_or(&digits);
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    for (prefixes, radix) in [(["0x", "0X"], 16), (["0o", "0O"], 8), (["0b", "0B"], 2)] {
        if let Some(rest) = prefixes.iter().find_map(|prefix| digits.strip_prefix(prefix)) {
            return !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix));
        }
    }
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let exponent_ok = exponent.is_none_or(|e| all_digits(e.strip_prefix(['+', '-']).unwrap_or(e)));
    let mantissa_ok = match mantissa.split_once('.') {
        None => all_digits(mantissa),
        Some(("", fraction)) => all_digits(fraction),
        Some((whole, "")) => all_digits(whole),
        Some((whole, fraction)) => all_digits(whole) && all_digits(fraction),
    };
    mantissa_ok && exponent_ok
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())
}

/// `2026-3-2`, alone or with a time behind it.
fn is_date(text: &[u8]) -> bool {
    let digits = |from: usize| text.iter().skip(from).take_while(|c| c.is_ascii_digit()).count();
    if digits(0) != 4 || text.get(4) != Some(&b'-') {
        return false;
    }
    let month = digits(5);
    if !(1..=2).contains(&month) || text.get(5 + month) != Some(&b'-') {
        return false;
    }
    let day = digits(6 + month);
    (1..=2).contains(&day) && matches!(text.get(6 + month + day), None | Some(b'T' | b't' | b' '))
}

/// `12:30:45`, a base-60 number in YAML 1.1.
fn is_base_60(text: &str) -> bool {
    let mut parts = text.strip_prefix(['+', '-']).unwrap_or(text).split(':');
    let first = parts.next().unwrap_or_default();
    let starts =
        first.starts_with(|c: char| c.is_ascii_digit()) && first.bytes().all(|c| c.is_ascii_digit() || c == b'_');
    let mut rest = parts.peekable();
    if !starts || rest.peek().is_none() {
        return false;
    }
    while let Some(part) = rest.next() {
        let (whole, fraction) = match part.split_once('.') {
            Some((whole, fraction)) if rest.peek().is_none() => (whole, fraction),
            _ => (part, ""),
        };
        let in_range = matches!(whole.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
        if !in_range || !fraction.bytes().all(|c| c.is_ascii_digit() || c == b'_') {
            return false;
        }
    }
    true
}

fn single(text: &str, out: &mut Vec<u8>) {
    out.push(b'\'');
    out.extend_from_slice(text.replace('\'', "''").as_bytes());
    out.push(b'\'');
}

fn double(text: &str, out: &mut Vec<u8>) {
    use std::io::Write as _;
    out.push(b'"');
    for c in text.chars() {
        let short = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\0' => "\\0",
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\u{B}' => "\\v",
            '\u{C}' => "\\f",
            '\r' => "\\r",
            '\u{1B}' => "\\e",
            '\u{85}' => "\\N",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            _ => "",
        };
        if !short.is_empty() {
            out.extend_from_slice(short.as_bytes());
            continue;
        }
        if !needs_escape(c) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let code = u32::from(c);
        // Writing to a Vec cannot fail.
        let _ = match code {
            0..=0xFF => write!(out, "\\x{code:02X}"),
            0x100..=0xFFFF => write!(out, "\\u{code:04X}"),
            _ => write!(out, "\\U{code:08X}"),
        };
    }
    out.push(b'"');
}

/// Without its last line end, which the caller writes.
fn literal(text: &str, column: usize, out: &mut Vec<u8>) {
    let body = text.strip_suffix('\n');
    out.extend_from_slice(match body {
        None => b"|-",
        Some(rest) if rest.ends_with('\n') => b"|+",
        Some(_) => b"|",
    });
    for line in body.unwrap_or(text).split('\n') {
        out.push(b'\n');
        if !line.is_empty() {
            indent(column, out);
            out.extend_from_slice(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> String {
        let mut out = Vec::new();
        write_value(text, 2, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_that_reads_as_another_type_is_double_quoted() {
        for text in [
            "",
            "~",
            "null",
            "yes",
            "No",
            "on",
            "y",
            "true",
            "FALSE",
            "1",
            "-1",
            "+1",
            "1.0",
            ".5",
            "1.",
            "1e5",
            "1E-5",
            "0x1",
            "0o17",
            "0b11",
            "1_000",
            "0777",
            ".inf",
            "-.INF",
            ".nan",
            "2026-03-02",
            "2026-3-2T08:15:30Z",
            "12:30:45",
            "1:30.5",
            "<<",
            "=",
        ] {
            assert_eq!(value(text), format!("\"{text}\""));
        }
    }

    #[test]
    fn text_that_reads_as_syntax_is_single_quoted() {
        for text in [
            " a", "a ", "a: b", "a:", "a #b", "#a", "- a", "-", "? a", ": a", "[a]", "{a}", "&a", "*a", "!a", "|",
            ">a", "%a", "@a", "`a", "---", "...a", "\"a\"", ",a",
        ] {
            assert_eq!(value(text), format!("'{text}'"));
        }
        assert_eq!(value("'a"), "'''a'");
    }

    #[test]
    fn harmless_text_stays_plain() {
        for text in [
            "reg.example/cart:1.4.0",
            "--q=a<b&c",
            "a#b",
            "a:b",
            "-a",
            "?a",
            ":a",
            "0d1f-02",
            "1.4.0",
            "v1",
            "1e",
            "0x",
            "0xg",
            "1.2.3.4",
            "2026-03",
            "2026-03-02-rc1",
            "10.0.0.1:80",
            "it's",
            "a\"b",
            "ü/日",
            "nullable",
            ".",
            "+",
            "1:99",
            "12:",
        ] {
            let wanted = if text == "12:" { "'12:'".to_owned() } else { text.to_owned() };
            assert_eq!(value(text), wanted);
        }
    }

    #[test]
    fn text_of_several_lines_is_a_literal_block_where_that_is_safe() {
        assert_eq!(value("a\nb"), "|-\n  a\n  b");
        assert_eq!(value("a\n  b\n"), "|\n  a\n    b");
        assert_eq!(value("a\n\nb\n\n"), "|+\n  a\n\n  b\n");
        assert_eq!(value(" a\nb"), "\" a\\nb\"");
        assert_eq!(value("a \nb"), "\"a \\nb\"");
        assert_eq!(value("a\nb "), "\"a\\nb \"");
        assert_eq!(value("\n"), "\"\\n\"");
        assert_eq!(value("a\tb\nc"), "\"a\\tb\\nc\"");
        assert_eq!(value("a\r\nb"), "\"a\\r\\nb\"");
    }

    #[test]
    fn unprintable_text_is_escaped() {
        assert_eq!(value("\u{1}\u{1b}\u{7f}\u{85}\u{2028}\u{feff}😀"), "\"\\x01\\e\\x7F\\N\\L\\uFEFF\\U0001F600\"");
    }
}
