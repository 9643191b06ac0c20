//! One compact JSON value per line.

/// Appends canonical JSON as one line. Canonical JSON has no line end inside.
pub fn write_line(json: &[u8], out: &mut Vec<u8>) {
    out.reserve(json.len() + 1);
    out.extend_from_slice(json);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_ends_with_exactly_one_line_feed() {
        let mut out = Vec::new();
        super::write_line(br#"{"a":"x\ny"}"#, &mut out);
        assert_eq!(out, b"{\"a\":\"x\\ny\"}\n");
    }
}
