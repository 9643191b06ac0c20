//! Redacts credentials in third-party error text before it reaches a log, an event or a status.
//!
//! It replaces the caller's own credentials and everything that [`kollect_model::redact`] recognises.

use kollect_model::redact::{self, REDACTED};
use std::borrow::Cow;

/// `text` on one line and bounded, without any of `secrets` and without what has the form of a credential.
pub fn scrub(text: &str, secrets: &[&str]) -> String {
    let mut clean = Cow::Borrowed(text);
    let mut known: Vec<&str> = secrets.iter().map(|s| s.trim()).filter(|s| !s.is_empty()).collect();
    // Longest first, so that a secret inside another does not leave the rest of the longer one.
    known.sort_by_key(|s| std::cmp::Reverse(s.len()));
    for secret in known {
        let encoded = percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string();
        clean = Cow::Owned(clean.replace(secret, REDACTED).replace(&encoded, REDACTED));
    }
    redact::line(&clean)
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
        assert!(scrub(&"ü".repeat(5_000), &[]).len() <= 2_003);
    }
}
