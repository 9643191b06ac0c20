//! Indented JSON, made from compact JSON without parsing it.

/// Appends compact JSON with two spaces per level and a final line feed. Strings and numbers stay byte for byte.
pub fn write_indented(compact: &[u8], out: &mut Vec<u8>) {
    out.reserve(compact.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, &c) in compact.iter().enumerate() {
        if in_string {
            out.push(c);
            (in_string, escaped) = (escaped || c != b'"', !escaped && c == b'\\');
            continue;
        }
        match c {
            b'"' => {
                in_string = true;
                out.push(c);
            }
            b'{' | b'[' => {
                out.push(c);
                depth += 1;
                if !matches!(compact.get(at + 1), Some(b'}' | b']')) {
                    line(depth, out);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !matches!(at.checked_sub(1).and_then(|before| compact.get(before)), Some(b'{' | b'[')) {
                    line(depth, out);
                }
                out.push(c);
            }
            b',' => {
                out.push(c);
                line(depth, out);
            }
            b':' => out.extend_from_slice(b": "),
            _ => out.push(c),
        }
    }
    out.push(b'\n');
}

fn line(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.resize(out.len() + depth * 2, b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_is_indented_and_strings_are_not_touched() {
        let mut out = Vec::new();
        let compact = r#"{"a":[1,{"b":"x{,:[\"\\"}],"c":{},"d":[],"e":["[",""]}"#;
        write_indented(compact.as_bytes(), &mut out);
        let text = String::from_utf8(out).unwrap();
        let wanted = "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x{,:[\\\"\\\\\"\n    }\n  ],\n  \"c\": {},\n  \"d\": [],\n  \"e\": [\n    \"[\",\n    \"\"\n  ]\n}\n";
        assert_eq!(text, wanted);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, serde_json::from_str::<serde_json::Value>(compact).unwrap());
    }
}
