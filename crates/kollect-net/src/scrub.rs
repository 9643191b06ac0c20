//! Takes credentials out of text that other people's code wrote.
//!
//! Separate so that every third-party error text passes one place before it reaches a log, an event or a status.

const HIDDEN: &str = "***";
/// Error texts longer than this say nothing more.
const MAX_BYTES: usize = 2_000;
/// Keys whose value is hidden, in `key=value`, `key: value` and `"key":"value"` forms.
const KEYS: [&str; 14] = [
    "password",
    "passwd",
    "pwd",
    "token",
    "secret",
    "secretkey",
    "secret_key",
    "secretaccesskey",
    "accesskey",
    "access_key",
    "apikey",
    "api_key",
    "private_key",
    "authorization",
];

/// `text` without user info in URLs, without the values of well-known keys, and without any of `secrets`, on one line.
pub fn scrub(text: &str, secrets: &[&str]) -> String {
    let mut clean = text.to_owned();
    let mut known: Vec<&str> = secrets.iter().map(|s| s.trim()).filter(|s| !s.is_empty()).collect();
    // Longest first, so that a secret inside another does not leave the rest of the longer one.
    known.sort_by_key(|s| std::cmp::Reverse(s.len()));
    for secret in known {
        clean = clean.replace(secret, HIDDEN);
        let encoded = percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string();
        clean = clean.replace(&encoded, HIDDEN);
    }
    let clean = hide_values(&hide_user_info(&hide_pem(&clean)));
    let mut line: String = clean.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() > MAX_BYTES {
        line.truncate(line.floor_char_boundary(MAX_BYTES));
        line.push('…');
    }
    line
}

fn hide_pem(text: &str) -> String {
    let Some(start) = text.find("-----BEGIN") else { return text.to_owned() };
    let end = text
        .rfind("-----END")
        .map_or(text.len(), |at| text[at + 8..].find("-----").map_or(text.len(), |more| at + 8 + more + 5));
    format!("{}{HIDDEN}{}", &text[..start], text.get(end.max(start)..).unwrap_or_default())
}

/// `scheme://user:password@host` becomes `scheme://***@host`.
fn hide_user_info(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '`'));
        let authority = &after[..end.unwrap_or(after.len())];
        // A password may hold a slash that nobody encoded; then the `@` comes later in the same word.
        let word = &after[..after.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(after.len())];
        let sign = authority.rfind('@').or_else(|| {
            let colon = authority.contains(':') && !authority.rsplit(':').next().is_some_and(is_port);
            colon.then(|| word.rfind('@')).flatten()
        });
        rest = match sign {
            Some(sign) => {
                out.push_str(HIDDEN);
                &after[sign..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.len() <= 5 && text.bytes().all(|c| c.is_ascii_digit())
}

/// Hides what follows a well-known key.
fn hide_values(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let bytes = lower.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_alphabetic() {
            at += 1;
            continue;
        }
        let word_end = at + bytes[at..].iter().take_while(|c| c.is_ascii_alphanumeric() || **c == b'_').count();
        let word = &lower[at..word_end];
        let is_key = KEYS.iter().any(|key| word == *key || word.ends_with(&format!("_{key}")));
        if is_key && let Some((start, end)) = value_after(&lower, word_end, word == "authorization") {
            out.push_str(&text[copied..start]);
            out.push_str(HIDDEN);
            copied = end;
            at = end;
        } else {
            at = word_end;
        }
    }
    out.push_str(&text[copied..]);
    out
}

/// Start and end of the value behind a key that ends at `from`.
fn value_after(text: &str, from: usize, whole_line: bool) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let skip = |mut at: usize, set: &[u8]| {
        while at < bytes.len() && set.contains(&bytes[at]) {
            at += 1;
        }
        at
    };
    let sign = skip(from, b"\"' ");
    if !matches!(bytes.get(sign), Some(b'=' | b':')) || bytes[sign..].starts_with(b"://") {
        return None;
    }
    let mut start = skip(sign + 1, b" ");
    let quote = bytes.get(start).copied().filter(|c| matches!(c, b'"' | b'\''));
    let end = if let Some(quote) = quote {
        start += 1;
        bytes[start..].iter().position(|c| *c == quote)
    } else if whole_line {
        bytes[start..].iter().position(|c| matches!(c, b'\n' | b'\r' | b',' | b'"'))
    } else {
        bytes[start..].iter().position(|c| c.is_ascii_whitespace() || matches!(c, b'&' | b',' | b';' | b'"' | b')'))
    };
    let end = end.map_or(bytes.len(), |n| start + n);
    (end > start).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_every_form_are_taken_out() {
        let cases = [
            ("clone https://bot:s3cr3t@git.example/x.git failed", "clone https://***@git.example/x.git failed"),
            ("postgres://u:p/w@d@db:5432/x?sslmode=require", "postgres://***@db:5432/x?sslmode=require"),
            ("two http://a:b@c/ and http://d:e@f/", "two http://***@c/ and http://***@f/"),
            ("host=db user=u password=hunter2 port=5", "host=db user=u password=*** port=5"),
            ("host=db password='a b' port=5", "host=db password='***' port=5"),
            (r#"{"token": "abc", "x": 1}"#, r#"{"token": "***", "x": 1}"#),
            ("GET /?access_token=abc&x=1", "GET /?access_token=***&x=1"),
            ("Authorization: Bearer abc.def", "Authorization: ***"),
            ("see https://host:8443/a@b", "see https://host:8443/a@b"),
            ("password authentication failed", "password authentication failed"),
            ("line\none", "line one"),
            ("key -----BEGIN X-----\nabc\n-----END X----- bad", "key *** bad"),
        ];
        for (text, clean) in cases {
            assert_eq!(scrub(text, &[]), clean);
        }
    }

    #[test]
    fn known_secrets_are_taken_out_also_percent_encoded() {
        assert_eq!(scrub("x p@ss y p%40ss z p@ss-long", &["p@ss", "p@ss-long", ""]), "x *** y *** z ***");
    }

    #[test]
    fn the_text_is_bounded() {
        assert!(scrub(&"ü".repeat(5_000), &[]).len() <= MAX_BYTES + 3);
    }
}
