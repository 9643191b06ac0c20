//! Which keys mark their value as a secret.

use super::key_words::{DESCRIPTIONS, ENDINGS, KEYS, NAMED_SECRETS, NO_PASS, SCHEMES, SECRETS, SETTINGS, TRAILING};
use super::words::{Words, own_name};

/// How sure a key is about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// `password`, `clientSecret`, `API_KEY`: the value is a secret whatever it is.
    Secret,
    /// `auth`, `cookie`: a text is a secret, a map often only settings.
    Scheme,
    /// `imagePullSecret`, `passwordKey`: the value is usually the name of a Secret or of a key in it.
    Name,
}

/// Three letters of which every sensitive word has some.
const STEMS: [&[u8; 3]; 15] = [
    b"pas", b"pat", b"pwd", b"psw", b"cre", b"oke", b"oki", b"otp", b"cke", b"mne", b"key", b"aut", b"ear", b"jwt",
    b"nne",
];

/// Which second letters follow a first one in a stem.
const PAIRS: [u32; 32] = {
    let mut table = [0_u32; 32];
    let mut i = 0;
    while i < STEMS.len() {
        table[(STEMS[i][0] & 31) as usize] |= 1 << (STEMS[i][1] & 31);
        i += 1;
    }
    table
};

/// A cheap test of the letters of a key or text: `false` means that it contains no sensitive word.
pub fn may_be_sensitive(key: &[u8]) -> bool {
    // Which letters would make a pair with the one before.
    let mut wanted = 0_u32;
    for (at, c) in key.iter().enumerate() {
        let letter = c & 31;
        if wanted & (1 << letter) != 0 && begins_with_stem(&key[at - 1..]) {
            return true;
        }
        wanted = PAIRS[usize::from(letter)];
    }
    false
}

/// Whether a stem begins here and is followed by a letter of a sensitive word.
fn begins_with_stem(text: &[u8]) -> bool {
    let Some([a, b, c]) = text.first_chunk() else { return false };
    let fourth = text.get(3).copied().unwrap_or(0);
    let next = fourth.to_ascii_lowercase();
    match &[a.to_ascii_lowercase(), b.to_ascii_lowercase(), c.to_ascii_lowercase()] {
        b"pas" => next == b's',
        // The whole word, or its plural: neither `path` nor `pattern`.
        b"pat" => !fourth.is_ascii_lowercase() || fourth == b's',
        b"cre" => matches!(next, b't' | b'd'),
        b"oke" => next == b'n',
        b"oki" | b"ear" => next == b'e',
        b"cke" => next == b'r',
        b"mne" => next == b'm',
        b"aut" => next == b'h',
        b"nne" => next == b'c',
        b"pwd" | b"psw" | b"otp" | b"key" | b"jwt" => true,
        _ => false,
    }
}

/// Whether a key marks its value as a secret.
pub fn sensitivity(key: &str) -> Option<Sensitivity> {
    if !may_be_sensitive(key.as_bytes()) {
        return None;
    }
    let words = Words::of(key);
    let (at, found) = (0..words.len())
        .filter_map(|at| Some((at, one(&words, at)?)))
        .max_by_key(|(at, found)| (*found == Sensitivity::Secret, *at))?;
    let last = words.len() - 1;
    let (head, before) = (words.get(last), last.checked_sub(1).map_or("", |before| words.get(before)));
    // Digests of Secrets, and annotations that ask an agent for one.
    if words.has("checksum") || words.has("inject") {
        return None;
    }
    if words.has("existing") && (words.has("secret") || head == "key") {
        return Some(Sensitivity::Name);
    }
    if found == Sensitivity::Scheme {
        let rest = (at + 1..=last).all(|at| TRAILING.contains(&words.get(at)));
        return rest.then_some(found);
    }
    // The id of a role that logs in with it is a secret, the id of a key is not.
    if DESCRIPTIONS.contains(&head) && !(head == "id" && before == "secret") {
        return None;
    }
    let names = match head {
        "secret" => NAMED_SECRETS.contains(&before) || (before == "auth" && own_name(key).len() < key.len()),
        "key" => at < last && !KEYS.contains(&before),
        _ => false,
    };
    Some(if names { Sensitivity::Name } else { found })
}

/// Whether a key names a setting, by its last word: `TOKEN_URL`, `issuer`.
pub fn is_description(key: &str) -> bool {
    let words = Words::of(key);
    let head = words.get(words.len().saturating_sub(1));
    DESCRIPTIONS.contains(&head) || SETTINGS.contains(&head)
}

/// How sensitive the word at this index is, alone or with the word before it.
fn one(words: &Words, at: usize) -> Option<Sensitivity> {
    let word = words.get(at);
    let before = at.checked_sub(1).map_or("", |before| words.get(before));
    let strong = SECRETS.contains(&word)
        || (ENDINGS.iter().any(|end| word.len() > 2 && word.ends_with(end)) && !NO_PASS.contains(&word))
        || (word == "key" && KEYS.contains(&before))
        || (word == "string" && before == "connection");
    // `proxy_pass` passes requests on.
    if strong && !(word == "pass" && before == "proxy") {
        return Some(Sensitivity::Secret);
    }
    (SCHEMES.contains(&word) && before != "o").then_some(Sensitivity::Scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_secrets_are_recognised_by_their_words() {
        let keys = "password PASSWORD2 DB_PASSWORD_OLD db-pass PGPASSWORD MYSQL_PWD passphrase tokens CLIENT_SECRETS token_value \
                    AWS_SECRET_ACCESS_KEY SECRET_KEY SECRET_KEY_BASE ENCRYPTION_KEY JWT_SIGNING_KEY API-KEY apikey APIKey \
                    AZURE_CREDENTIALS ADMIN_PASSWORDS GITHUB_PAT secretKey accessKey access_key otp .dockerconfigjson \
                    _authToken client-key-data TOKEN secret_id connectionString CONNECTION_STRING x.io/api-token";
        for key in keys.split_whitespace() {
            assert_eq!(sensitivity(key), Some(Sensitivity::Secret), "{key}");
        }
        for key in "auth x-auth AUTH_HEADER Authorization Cookie Set-Cookie basicAuth REGISTRY_AUTH".split_whitespace()
        {
            assert_eq!(sensitivity(key), Some(Sensitivity::Scheme), "{key}");
        }
        for key in "imagePullSecret existingSecret tls-secret passwordKey nginx.ingress.kubernetes.io/auth-secret"
            .split_whitespace()
        {
            assert_eq!(sensitivity(key), Some(Sensitivity::Name), "{key}");
        }
    }

    #[test]
    fn keys_that_describe_a_secret_are_no_secrets() {
        let keys = "tokenReviewer passwordPolicy secretName keyRef tokenSecretRef enable-oauth oauth oauth2 publicKey bypass compass \
                    DB_PASSWORD_FILE TOKEN_URL auth-type AUTH_MODE checksum/secret proxy_pass access_key_id partitionKey author \
                    rbac.authorization.kubernetes.io/autoupdate authenticator keyboard monkey path patch spec status metadata";
        for key in keys.split_whitespace() {
            assert_eq!(sensitivity(key), None, "{key}");
        }
    }

    #[test]
    fn the_cheap_test_accepts_every_sensitive_word() {
        for word in SECRETS.iter().chain(ENDINGS).chain(SCHEMES).chain(&["key"]) {
            assert!(may_be_sensitive(word.as_bytes()) && may_be_sensitive(word.to_uppercase().as_bytes()), "{word}");
        }
        assert!(!may_be_sensitive(b"metadata") && !may_be_sensitive(b"containers"));
    }
}
