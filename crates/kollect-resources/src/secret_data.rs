//! The content of one Secret. Values leave it through [`SecretData::get`] only, and debug output has none.

use std::collections::BTreeMap;
use std::fmt;

/// The keys and values of one Secret. Debug output shows the keys.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct SecretData(BTreeMap<String, Vec<u8>>);

impl SecretData {
    /// The value under `key`, if it exists and is not empty.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice).filter(|v| !v.is_empty())
    }
}

impl FromIterator<(String, Vec<u8>)> for SecretData {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_keys_but_never_its_values() {
        let data: SecretData =
            [("token".to_owned(), b" s3cret\n".to_vec()), ("empty".to_owned(), Vec::new())].into_iter().collect();
        assert_eq!(format!("{data:?}"), "{\"empty\", \"token\"}");
        assert!(data.get("empty").is_none());
    }
}
