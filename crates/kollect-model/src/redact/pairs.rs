//! Keys of pairs: one that names, and one that has the value.

/// Keys whose text describes the value beside them: `{name: DB_PASSWORD, value: …}`.
const NAMING: &[&str] = &[
    "name",
    "key",
    "header",
    "headerName",
    "field",
    "variable",
    "property",
    "parameter",
    "parameterKey",
    "envVar",
    "keyword",
    "id",
    "env",
];

/// Whether the text under this key describes the value beside it.
#[inline]
pub fn is_naming(key: &str) -> bool {
    matches!(key.len(), 2..=12) && NAMING.iter().any(|known| key.eq_ignore_ascii_case(known))
}

/// Whether this key holds the value that the name beside it describes.
#[inline]
pub fn is_paired_value(key: &str) -> bool {
    let ends = |end: &str| {
        key.len() >= end.len() && key.as_bytes()[key.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
    };
    match key.as_bytes().last() {
        Some(b'e' | b'E') => ends("value"),
        Some(b's' | b'S') => ends("values"),
        Some(b't' | b'T') => key.eq_ignore_ascii_case("default"),
        Some(b'l' | b'L') => key.eq_ignore_ascii_case("val"),
        _ => false,
    }
}
