//! Which keys name secrets.
//!
//! Separate because it runs for every key of every value and must not allocate for plain keys.

/// Names that are always sensitive, by their last letter so that most keys are done after one comparison.
fn built_in(last: u8) -> &'static [&'static str] {
    match last {
        b'd' => &["password", "passwd"],
        b't' => &["secret"],
        b'n' => &["token"],
        b'y' => &["apikey", "api_key", "privatekey", "private_key"],
        b'l' => &["credential"],
        b'h' => &["auth"],
        b'g' => &["connectionstring"],
        _ => &[],
    }
}

/// The sensitive names of a profile: the built-in ones and those of the operator and the profile.
///
/// A key is sensitive when it equals a name, or ends with one that has more than two letters; case and blanks around
/// do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubKeys {
    extra: Vec<Box<str>>,
}

impl ScrubKeys {
    /// The built-in names and `extra`.
    pub fn new<'a>(extra: impl IntoIterator<Item = &'a str>) -> Self {
        let mut extra: Vec<Box<str>> = extra
            .into_iter()
            .map(|name| name.trim().to_lowercase().into_boxed_str())
            .filter(|name| !name.is_empty())
            .collect();
        extra.sort_unstable();
        extra.dedup();
        Self { extra }
    }

    /// Whether values under `key` are secrets.
    pub fn is_sensitive(&self, key: &str) -> bool {
        let key = trimmed(key);
        let Some(last) = key.as_bytes().last() else { return false };
        if built_in(last.to_ascii_lowercase()).iter().any(|name| ends_with(key, name)) {
            return true;
        }
        if self.extra.is_empty() {
            return false;
        }
        if key.is_ascii() {
            return self.extra.iter().any(|name| matches(key, name));
        }
        let lower = key.to_lowercase();
        self.extra.iter().any(|name| matches(&lower, name))
    }
}

/// Nearly all keys begin and end with a letter and need no search for blanks, of which Unicode has many.
fn trimmed(key: &str) -> &str {
    let is_plain = |end: Option<&u8>| end.is_some_and(u8::is_ascii_graphic);
    let bytes = key.as_bytes();
    if is_plain(bytes.first()) && is_plain(bytes.last()) { key } else { key.trim() }
}

fn matches(key: &str, name: &str) -> bool {
    if name.chars().count() > 2 { ends_with(key, name) } else { key.eq_ignore_ascii_case(name) }
}

fn ends_with(key: &str, name: &str) -> bool {
    let (key, name) = (key.as_bytes(), name.as_bytes());
    key.len() >= name.len() && key[key.len() - name.len()..].eq_ignore_ascii_case(name)
}
