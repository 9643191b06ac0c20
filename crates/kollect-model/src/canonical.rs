//! Canonical JSON: sorted keys, no whitespace, fixed escapes and number forms, so that equal values have equal bytes.

use serde_json::{Number, Value};

/// A number that JSON cannot carry (infinite or not a number).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number is infinite or not a number, which JSON cannot carry")]
pub struct NotFinite;

/// Appends `value` in canonical form.
pub fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), NotFinite> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(number, out)?,
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            // serde_json's map is ordered by key bytes (its `preserve_order` feature is off, which a test checks).
            out.push(b'{');
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write_value(item, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_number(number: &Number, out: &mut Vec<u8>) -> Result<(), NotFinite> {
    use std::io::Write as _;
    // Writing to a Vec cannot fail.
    let _ = if let Some(i) = number.as_i64() {
        write!(out, "{i}")
    } else if let Some(u) = number.as_u64() {
        write!(out, "{u}")
    } else {
        return write_float(number.as_f64().ok_or(NotFinite)?, out);
    };
    Ok(())
}

/// Shortest round-trip form: plain decimal for 1e-6 ≤ |f| < 1e21 and zero, exponent form otherwise.
fn write_float(f: f64, out: &mut Vec<u8>) -> Result<(), NotFinite> {
    use std::io::Write as _;
    if !f.is_finite() {
        return Err(NotFinite);
    }
    let size = f.abs();
    let _ = if size == 0.0 || (1e-6..1e21).contains(&size) {
        write!(out, "{f}")
    } else {
        let text = format!("{f:e}");
        let text = if size >= 1e21 { text.replacen('e', "e+", 1) } else { text };
        out.write_all(text.as_bytes())
    };
    Ok(())
}

/// Bytes that are escaped, or may begin a character that is.
const fn escape_candidates() -> [bool; 256] {
    let mut table = [false; 256];
    let mut c = 0;
    while c < 0x20 {
        table[c] = true;
        c += 1;
    }
    let named = [b'"', b'\\', b'<', b'>', b'&', 0xE2];
    let mut i = 0;
    while i < named.len() {
        table[named[i] as usize] = true;
        i += 1;
    }
    table
}

/// Whether eight bytes are printable ASCII without `"`, `\`, `<`, `>` and `&`: nearly all text is.
fn is_plain(eight: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The high bit of every byte that is zero is set, and perhaps of bytes above it; none if no byte is zero.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let word = u64::from_le_bytes(eight);
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    // `<` and `>` differ in one bit, as do `"` and `&`.
    let angle = zero((word | (ONES * 0x02)) ^ (ONES * 0x3E));
    let quote_or_and = zero((word | (ONES * 0x04)) ^ (ONES * 0x26));
    let backslash = zero(word ^ (ONES * 0x5C));
    (word & HIGH) | control | angle | quote_or_and | backslash == 0
}

/// Appends a JSON string with its quotes: `<`, `>`, `&`, U+2028 and U+2029 escaped, other non-ASCII raw.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    const ESCAPE_CANDIDATES: [bool; 256] = escape_candidates();
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut plain_from = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at..].first_chunk() {
            Some(eight) if is_plain(*eight) => {
                at += 8;
                continue;
            }
            // The last eight bytes overlap with bytes that were checked before.
            None if bytes.last_chunk().is_some_and(|eight| is_plain(*eight)) => break,
            _ => {}
        }
        let c = bytes[at];
        if !ESCAPE_CANDIDATES[usize::from(c)] {
            at += 1;
            continue;
        }
        let line_separator = at + 2 < bytes.len() && bytes[at + 1] == 0x80 && bytes[at + 2] & 0xFE == 0xA8;
        if c == 0xE2 && !line_separator {
            at += 1;
            continue;
        }
        out.extend_from_slice(&bytes[plain_from..at]);
        match c {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0xE2 => {
                out.extend_from_slice(if bytes[at + 2] == 0xA8 { b"\\u2028" } else { b"\\u2029" });
                at += 2;
            }
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(c >> 4)]);
                out.push(HEX[usize::from(c & 15)]);
            }
        }
        at += 1;
        plain_from = at;
    }
    out.extend_from_slice(&bytes[plain_from..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn canonical(value: &Value) -> String {
        let mut out = Vec::new();
        write_value(value, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_and_strings_follow_the_contract() {
        let cases = [
            (json!(42), "42"),
            (json!(1.0), "1"),
            (json!(1.5), "1.5"),
            (json!(1e20), "100000000000000000000"),
            (json!(1e21), "1e+21"),
            (json!(0.000_001), "0.000001"),
            (json!(0.000_000_1), "1e-7"),
            (json!(-0.0), "-0"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(9_007_199_254_740_993_i64), "9007199254740993"),
            (json!("a<b>&c"), r#""a\u003cb\u003e\u0026c""#),
            (json!("\t\n\u{1}"), r#""\t\n\u0001""#),
            (json!("ü/日"), "\"ü/日\""),
            (json!("\u{2028}\u{2029}\u{202a}"), "\"\\u2028\\u2029\u{202a}\""),
            (json!("\u{7f}"), "\"\u{7f}\""),
            (json!([]), "[]"),
        ];
        for (value, text) in cases {
            assert_eq!(canonical(&value), text);
        }
    }

    #[test]
    fn every_byte_is_escaped_the_same_at_every_position() {
        let mut alone = Vec::new();
        for c in (0..=0x7F_u8).map(char::from).chain(['ü', '\u{2028}', '\u{2029}', '\u{20ac}', '日']) {
            alone.clear();
            write_string(&c.to_string(), &mut alone);
            let inner = std::str::from_utf8(&alone[1..alone.len() - 1]).unwrap();
            for before in 0..10 {
                let mut out = Vec::new();
                write_string(&format!("{}{c}{}", "a".repeat(before), "z".repeat(9)), &mut out);
                let wanted = format!("\"{}{inner}{}\"", "a".repeat(before), "z".repeat(9));
                assert_eq!(String::from_utf8(out).unwrap(), wanted, "{c:?} after {before}");
            }
        }
        for c in 0..=0xFF_u8 {
            let special = !(0x20..0x80).contains(&c) || b"\"\\<>&".contains(&c);
            let word = |at: usize| std::array::from_fn(|i| if i == at { c } else { b' ' });
            assert!((0..8).all(|at| is_plain(word(at)) != special), "{c:#x}");
        }
    }

    #[test]
    fn keys_are_sorted_by_bytes() {
        assert_eq!(canonical(&json!({"b": 1, "a": {"z": null, "B": true}})), r#"{"a":{"B":true,"z":null},"b":1}"#);
    }
}
