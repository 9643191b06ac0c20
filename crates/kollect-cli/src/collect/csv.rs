//! Rows on standard output for spreadsheets: comma-separated values, one list per target.
//!
//! Any author of an object chooses attributes and names, and a spreadsheet runs text that begins like a formula.
//! Such text begins with an apostrophe, which makes it text again. Numbers of the objects stay numbers.

use super::plan::Planned;
use super::source::CollectedSource;
use super::tables::{attributes_of, rows_of, text_of};
use crate::terminal::is_hostile;
use serde_json::Value;
use std::io::{self, Write};

/// Writes the rows of a target with a header. `raw` keeps text as it is, for programs.
pub(super) fn write(source: &CollectedSource, target: &Planned, raw: bool, out: &mut dyn Write) -> io::Result<()> {
    let text = |text: &str| if raw { text.to_owned() } else { defused(text) };
    let fixed = ["context", "targetNamespace", "targetName", "namespace", "name", "kind", "uid"];
    line(fixed.into_iter().map(str::to_owned).chain(target.attributes.iter().map(|name| text(name))), out)?;
    for row in rows_of(source, target) {
        let attributes = attributes_of(&row);
        let uid = row.id.uid.to_string();
        let place = [
            source.context.as_str(),
            &row.id.target.namespace,
            &row.id.target.name,
            &row.object.namespace,
            &row.object.name,
            &row.object.gvk.kind,
            &uid,
        ];
        let values = target.attributes.iter().map(|name| match attributes.get(name) {
            number @ Some(Value::Number(_)) => text_of(number),
            other => text(&text_of(other)),
        });
        line(place.into_iter().map(text).chain(values), out)?;
    }
    Ok(())
}

fn line(cells: impl Iterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
    let mut line = String::new();
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            line.push(',');
        }
        // Some spreadsheets part cells at semicolons and tabs as well.
        if cell.contains([',', ';', '\t', '"', '\n', '\r']) {
            line.push('"');
            line.push_str(&cell.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(&cell);
        }
    }
    line.push_str("\r\n");
    out.write_all(line.as_bytes())
}

/// The text without what a spreadsheet or a terminal would obey.
fn defused(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 1);
    // A spreadsheet that parts cells at these begins a cell after each.
    for (at, part) in text.split_inclusive([';', '\t']).enumerate() {
        if begins_a_formula(part) || (at == 0 && part.starts_with(['\t', '\r', '\n'])) {
            safe.push('\'');
        }
        let mut chars = part.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\n' | '\t' => safe.push(c),
                '\r' if chars.peek() == Some(&'\n') => safe.push(c),
                '\r' => safe.push_str("\\r"),
                c if is_hostile(c) => safe.extend(c.escape_unicode()),
                c => safe.push(c),
            }
        }
    }
    safe
}

/// Whether the text begins a formula, with a plain or a full-width sign. Characters that a spreadsheet skips or takes
/// for quotes may precede the sign.
fn begins_a_formula(text: &str) -> bool {
    let skipped = |c: char| {
        let invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}');
        c.is_whitespace() || is_hostile(c) || invisible || matches!(c, '"' | '\'')
    };
    let sign = |c: char| {
        let wide = matches!(c, '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}');
        let small = matches!(c, '\u{fe62}' | '\u{fe63}' | '\u{fe66}' | '\u{fe6b}' | '\u{2212}');
        matches!(c, '=' | '+' | '-' | '@') || wide || small
    };
    text.trim_start_matches(skipped).starts_with(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_a_spreadsheet_would_run_begins_with_an_apostrophe() {
        for text in [
            "=1+1",
            "+1",
            "-rf",
            "@SUM(1)",
            "=cmd|' /C calc'!A0",
            "-",
            "--flag",
            "＝1",
            "＋1",
            "－1",
            "＠x",
            "﹦1",
            "−1",
        ] {
            assert_eq!(defused(text), format!("'{text}"));
        }
        for text in [" =1", "\u{a0}=1", "\"=1", "'=1", "\u{200b}=1", " \" '+1", "\n=1"] {
            assert!(defused(text).starts_with('\''), "{text:?}");
            assert_eq!(defused(text)[1..], *text);
        }
        for (text, safe) in [
            ("\t=1", "'\t'=1"),
            ("\tx", "'\tx"),
            ("\rx", "'\\rx"),
            ("\r=1", "'\\r=1"),
            ("\u{feff}=1", "'\\u{feff}=1"),
            ("\0=1", "'\\u{0}=1"),
            ("a;=1", "a;'=1"),
            ("a\t+1", "a\t'+1"),
        ] {
            assert_eq!(defused(text), safe);
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in
            ["", "a-b", "1.4.0", "x=1", "a@b", "[\"-x\"]", "two\nlines", "windows\r\nlines", "größe 日本", "a, -b"]
        {
            assert_eq!(defused(text), text);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(defused("a\u{1b}[31mb\u{1b}]52;c;x\u{7}"), "a\\u{1b}[31mb\\u{1b}]52;c;x\\u{7}");
        assert_eq!(defused("a\u{202e}b\0c\u{9b}d\re"), "a\\u{202e}b\\u{0}c\\u{9b}d\\re");
    }

    #[test]
    fn cells_are_quoted_where_a_separator_is_in_them() {
        let mut out = Vec::new();
        line(["a;b", "c\td", "e,f", "g\"h", "i"].into_iter().map(str::to_owned), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\"a;b\",\"c\td\",\"e,f\",\"g\"\"h\",i\r\n");
    }
}
