//! Secrets inside of strings: URLs with credentials, and copies of whole manifests.
//!
//! Separate because it looks at text, not at keys. Plain text must pass without an allocation.

/// Characters that end the authority of a URL.
const ENDS_AUTHORITY: &[char] = &['/', '?', '#', ' ', '\t', '\n', '\r', '"', '\'', '`', '<', '>'];

/// Replaces `user:password` in `scheme://user:password@host` by `***`; `None` when there is nothing to replace.
///
/// A user without a password is kept (`ssh://git@host`), except in http URLs, where a lone user is usually a token.
pub(super) fn without_credentials(text: &str) -> Option<String> {
    let mut clean: Option<String> = None;
    let mut copied = 0;
    let mut from = 0;
    while let Some(found) = scheme_end_in(&text.as_bytes()[from..]) {
        let scheme_end = from + found;
        let start = scheme_end + 3;
        let end = text[start..].find(ENDS_AUTHORITY).map_or(text.len(), |at| start + at);
        if let Some(at) = text[start..end].rfind('@') {
            let user = &text[start..start + at];
            let http = ["http", "https"].iter().any(|scheme| text[..scheme_end].to_ascii_lowercase().ends_with(scheme));
            if !user.is_empty() && (user.contains(':') || http) {
                let out = clean.get_or_insert_with(|| String::with_capacity(text.len()));
                out.push_str(&text[copied..start]);
                out.push_str("***");
                copied = start + at;
            }
        }
        from = end;
    }
    clean.map(|mut out| {
        out.push_str(&text[copied..]);
        out
    })
}

/// Where `://` is. Most texts have no colon at all, so that is looked for.
fn scheme_end_in(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b':', text).find(|at| text[*at..].starts_with(b"://"))
}

/// Whether the text is a Kubernetes object in JSON, as annotations of kubectl and of GitOps tools hold them.
pub(super) fn is_manifest(text: &str) -> bool {
    // Unicode has many blanks; most texts begin with a letter.
    if text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) {
        return false;
    }
    let text = text.trim_start();
    text.starts_with('{') && ["\"apiVersion\"", "\"kind\"", "\"metadata\""].iter().all(|key| text.contains(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_urls_are_replaced() {
        let cases = [
            ("postgres://app:pa:ss@db:5432/x", Some("postgres://***@db:5432/x")),
            (
                "see https://ghp_abc@github.com/o/r and amqp://u:p@h",
                Some("see https://***@github.com/o/r and amqp://***@h"),
            ),
            ("mongodb://u:p@a,b,c/db", Some("mongodb://***@a,b,c/db")),
            ("ssh://git@github.com/o/r", None),
            ("https://example.com/@scope/x", None),
            ("http://a:8080/", None),
            ("r/a:1", None),
            ("://", None),
            ("x://@h", None),
            ("ü://ü:ü@ü", Some("ü://***@ü")),
        ];
        for (text, clean) in cases {
            assert_eq!(without_credentials(text).as_deref(), clean, "{text}");
        }
    }
}
