//! The words of a key: `dbPassword_OLD2` is `db password old`.

/// Of longer keys the end counts: its last word describes the value.
const MAX_KEY: usize = 128;
const MAX_WORDS: usize = 24;

/// Lower-case words in a fixed buffer, so that keys cost no allocation.
pub(super) struct Words {
    letters: [u8; MAX_KEY],
    ends: [u8; MAX_WORDS],
    count: usize,
}

impl Words {
    /// Splits at everything that is no ASCII letter, at `aB` and before the last capital of `ABc`. A plural loses its `s`.
    pub(super) fn of(key: &str) -> Self {
        let key = own_name(key).as_bytes();
        let key = &key[key.len().saturating_sub(MAX_KEY)..];
        let mut words = Self { letters: [0; MAX_KEY], ends: [0; MAX_WORDS], count: 0 };
        let mut length = 0;
        for (at, c) in key.iter().enumerate() {
            let before = at.checked_sub(1).map_or(0, |at| key[at]);
            let next = key.get(at + 1).copied().unwrap_or(0);
            let starts = c.is_ascii_uppercase() && (before.is_ascii_lowercase() || next.is_ascii_lowercase());
            // `URLs` and `APIs` are one word.
            let plural = next == b's' && !key.get(at + 2).is_some_and(u8::is_ascii_lowercase);
            if !c.is_ascii_alphabetic() || (starts && !(plural && before.is_ascii_uppercase())) {
                words.end(length);
            }
            if c.is_ascii_alphabetic() {
                words.letters[length] = c.to_ascii_lowercase();
                length += 1;
            }
        }
        words.end(length);
        words
    }

    fn end(&mut self, length: usize) {
        let start = self.count.checked_sub(1).map_or(0, |last| usize::from(self.ends[last]));
        if length == start {
            return;
        }
        if self.count == MAX_WORDS {
            // The last words decide.
            self.ends.rotate_left(1);
            self.count -= 1;
        }
        // The buffer has 128 places.
        self.ends[self.count] = u8::try_from(length).unwrap_or(u8::MAX);
        self.count += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The word at a place, singular; empty outside.
    pub(super) fn get(&self, at: usize) -> &str {
        if at >= self.count {
            return "";
        }
        let start = at.checked_sub(1).map_or(0, |last| usize::from(self.ends[last]));
        let word = std::str::from_utf8(&self.letters[start..usize::from(self.ends[at])]).unwrap_or_default();
        match word.strip_suffix('s') {
            Some(singular) if singular.len() > 2 && !singular.ends_with('s') => singular,
            _ => word,
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &str> {
        (0..self.count).map(|at| self.get(at))
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.iter().any(|known| known == word)
    }
}

/// The name of `example.com/name`: the domain does not describe the value.
pub(super) fn own_name(key: &str) -> &str {
    match key.rsplit_once('/') {
        Some((prefix, name)) if prefix.contains('.') => name,
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_split_into_words() {
        let cases = [
            ("DB_PASSWORD_OLD2", "db password old"),
            ("xApiKey", "x api key"),
            ("APIKey", "api key"),
            ("OAuthTokens", "o auth token"),
            ("access-key.id", "access key id"),
            ("vault.hashicorp.com/agent-token", "agent token"),
            ("pass", "pass"),
            ("addresses", "addresse"),
            ("tokenURLs", "token url"),
            ("", ""),
            ("___", ""),
        ];
        for (key, words) in cases {
            assert_eq!(Words::of(key).iter().collect::<Vec<_>>().join(" "), words, "{key}");
        }
        assert_eq!(Words::of(&"a-".repeat(100)).len(), MAX_WORDS);
    }
}
