//! Settings without a sign between key and value: `requirepass x`, `PASSWORD 'x'` in SQL.

use super::edits::Edits;
use super::flags::{Form, known_words};
use super::key::may_be_sensitive;

/// Files of settings without a sign between key and value.
const SETTINGS: &[(&str, &str, Form)] = &[
    ("machine ", "password ", Form::Word),
    ("requirepass ", "requirepass ", Form::Word),
    ("masterauth ", "masterauth ", Form::Word),
];
/// What comes before a secret in quotes, in SQL and in settings without a sign.
const BEFORE_QUOTES: &[(&str, &str, Form)] = &[
    ("PASSWORD ", "PASSWORD ", Form::Quoted),
    ("password ", "password ", Form::Quoted),
    ("secret \"", "secret ", Form::Ended),
];

/// SQL of MySQL, which has no sensitive word.
const IDENTIFIED: &[(&str, &str, Form)] =
    &[("IDENTIFIED ", " BY ", Form::Quoted), ("identified ", " by ", Form::Quoted)];

/// Hides the secrets of such settings. `quotes`: the text has some.
pub(super) fn find(text: &str, quotes: bool, edits: &mut Edits) {
    let bytes = text.as_bytes();
    if may_be_sensitive(bytes) {
        for known in SETTINGS {
            known_words(text, *known, edits);
        }
        for known in BEFORE_QUOTES.iter().filter(|_| quotes) {
            known_words(text, *known, edits);
        }
    }
    for known in IDENTIFIED.iter().filter(|_| quotes) {
        known_words(text, *known, edits);
    }
}
