//! Texts of other programs, redacted for a log, a status or an event.

use super::edits::REDACTED;
use super::text;
use std::borrow::Cow;

/// Longer texts of errors are cut.
const MAX_BYTES: usize = 2_000;

/// The text without its secrets, on one line and of bounded length.
pub fn line(message: &str) -> String {
    let clean = text(message).unwrap_or_else(|| Cow::Owned(message.to_owned()));
    let mut line: String = without_pem(&clean).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() > MAX_BYTES {
        line.truncate(line.floor_char_boundary(MAX_BYTES));
        line.push('…');
    }
    line
}

/// No error needs a certificate either.
fn without_pem(message: &str) -> String {
    let Some(start) = message.find("-----BEGIN") else { return message.to_owned() };
    let end = message
        .rfind("-----END")
        .map_or(message.len(), |at| message[at + 8..].find("-----").map_or(message.len(), |more| at + 8 + more + 5));
    format!("{}{REDACTED}{}", &message[..start], message.get(end.max(start)..).unwrap_or_default())
}
