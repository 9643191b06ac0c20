//! User names and passwords in URLs, and URLs that are a password themselves.

use super::edits::Edits;
use memchr::memmem;

/// Longest distance to the end of a password.
const MAX_PASSWORD: usize = 512;

/// Hides `user:password` in `scheme://user:password@host`, in `//user:password@host`, in `user:password@tcp(host)` and in
/// `jdbc:oracle:thin:user/password@host`.
///
/// A user without a password is kept (`ssh://git@host`), except in http URLs, where a lone user is usually a token.
pub(super) fn find(text: &str, edits: &mut Edits) {
    let bytes = text.as_bytes();
    for slashes in memmem::find_iter(bytes, b"//") {
        let start = slashes + 2;
        let authority = end(bytes, start, ends_authority);
        let sign = memchr::memrchr(b'@', &bytes[start..authority]).or_else(|| {
            // A password may hold a slash or another sign without percent-encoding; then the `@` comes later in the same word.
            let authority = &bytes[start..authority];
            let port = authority.rsplit(|c| *c == b':').next().is_some_and(is_port);
            let loose = authority.contains(&b':') && !port && !authority.contains(&b'[');
            let word = end(&bytes[..bytes.len().min(start + MAX_PASSWORD)], start, ends_word);
            loose.then(|| memchr::memrchr(b'@', &bytes[start..word])).flatten()
        });
        let Some(sign) = sign.filter(|sign| *sign > 0) else { continue };
        let user = &bytes[start..start + sign];
        let before = &bytes[..slashes];
        let scheme = before.ends_with(b":");
        let http = scheme && (ends_ignoring_case(before, b"http:") || ends_ignoring_case(before, b"https:"));
        if user.contains(&b':') || http {
            edits.hide(start, start + sign);
        }
    }
    for open in memchr::memchr_iter(b'(', bytes) {
        let known = [b"@tcp".as_slice(), b"@unix", b"@udp", b"@"];
        if let Some(end) = known.iter().find(|end| bytes[..open].ends_with(end)).map(|end| open - end.len()) {
            hide_user(bytes, end, edits);
        }
    }
    if let Some(at) = memmem::find(bytes, b":thin:") {
        let start = at + ":thin:".len();
        let word = end(bytes, start, ends_word);
        if let Some(sign) = memchr::memchr(b'@', &bytes[start..word]) {
            edits.hide(start, start + sign);
        }
    }
}

/// Hides `user:password` that ends at `end`.
fn hide_user(bytes: &[u8], end: usize, edits: &mut Edits) {
    let from = end.saturating_sub(MAX_PASSWORD);
    let start = bytes[from..end]
        .iter()
        .rposition(|c| ends_word(*c) || matches!(c, b'=' | b'('))
        .map_or(from, |at| from + at + 1);
    if bytes[start..end].contains(&b':') {
        edits.hide(start, end);
    }
}

/// The part of a webhook's address that authorises posting to it.
pub(super) fn find_webhooks(text: &str, edits: &mut Edits) {
    const KNOWN: [(&str, &str); 9] = [
        ("hooks.slack.com", "/"),
        ("discord.com", "/api/webhooks/"),
        ("discordapp.com", "/api/webhooks/"),
        ("webhook.office.com", "/webhookb2/"),
        ("api.telegram.org", "/bot"),
        ("chat.googleapis.com", "/v1/spaces/"),
        ("outlook.office.com", "/webhook/"),
        ("hooks.zapier.com", "/hooks/catch/"),
        ("open.feishu.cn", "/open-apis/bot/v2/hook/"),
    ];
    let bytes = text.as_bytes();
    for sign in memchr::memchr_iter(b':', bytes).filter(|at| bytes[*at..].starts_with(b"://")) {
        let start = sign + 3;
        let Some(slash) = bytes[start..bytes.len().min(start + 96)].iter().position(|c| *c == b'/') else { continue };
        let (host, path) = (&bytes[start..start + slash], &bytes[start + slash..]);
        let known =
            KNOWN.iter().find(|(name, prefix)| host.ends_with(name.as_bytes()) && path.starts_with(prefix.as_bytes()));
        if let Some((_, prefix)) = known {
            let start = start + slash + prefix.len();
            edits.hide(start, end(bytes, start, ends_word));
        }
    }
}

fn end(bytes: &[u8], start: usize, ends: fn(u8) -> bool) -> usize {
    bytes[start..].iter().position(|c| ends(*c)).map_or(bytes.len(), |at| start + at)
}

fn ends_authority(c: u8) -> bool {
    ends_word(c) || matches!(c, b'/' | b'?' | b'#')
}

fn ends_word(c: u8) -> bool {
    c.is_ascii_whitespace() || matches!(c, b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\')
}

fn is_port(text: &[u8]) -> bool {
    !text.is_empty() && text.len() <= 5 && text.iter().all(u8::is_ascii_digit)
}

fn ends_ignoring_case(text: &[u8], end: &[u8]) -> bool {
    text.len() >= end.len() && text[text.len() - end.len()..].eq_ignore_ascii_case(end)
}
