//! References from sink specs to Secrets, and access to the values of those Secrets.

use kollect_api::{SecretReference, SinkCommon};
use std::collections::BTreeMap;

/// Field of the credentials that every sink may have.
pub const SECRET_REF: &str = "spec.secretRef";
pub(crate) const CA_SECRET_REF: &str = "spec.tls.caSecretRef";

/// A reference to a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    /// Field of the sink that has the reference; the key in [`SinkSecrets`].
    pub field: &'static str,
    /// Name.
    pub name: String,
    /// Namespace, if the reference names one.
    pub namespace: Option<String>,
}

impl SecretRef {
    /// `None` for a reference without a name.
    pub fn new(field: &'static str, reference: Option<&SecretReference>) -> Option<Self> {
        let named = reference.filter(|reference| !reference.name.trim().is_empty())?;
        Some(Self { field, name: named.name.clone(), namespace: named.namespace.clone() })
    }
}

/// The references in the fields that all sinks share.
pub fn secret_refs(common: &SinkCommon) -> Vec<SecretRef> {
    let ca = common.tls.as_ref().and_then(|tls| tls.ca_secret_ref.as_ref());
    [SecretRef::new(SECRET_REF, common.secret_ref.as_ref()), SecretRef::new(CA_SECRET_REF, ca)]
        .into_iter()
        .flatten()
        .collect()
}

/// The values of one Secret. They are read by key, so that nothing can print the whole.
pub struct SecretValues<'a>(Box<ValueOfKey<'a>>);

type ValueOfKey<'a> = dyn Fn(&str) -> Option<&'a [u8]> + 'a;

/// The Secrets of one sink that exist, by the field that refers to them.
pub type SinkSecrets<'a> = BTreeMap<&'static str, SecretValues<'a>>;

impl<'a> SecretValues<'a> {
    /// `get` returns the value under a key.
    pub fn new(get: impl Fn(&str) -> Option<&'a [u8]> + 'a) -> Self {
        Self(Box::new(get))
    }

    /// The first non-empty value among `keys`.
    pub fn first(&self, keys: &[&str]) -> Option<&'a [u8]> {
        keys.iter().find_map(|key| (self.0)(key).filter(|value| !value.is_empty()))
    }

    /// The first non-empty value among `keys`, trimmed; `None` when it is blank or not UTF-8.
    pub fn first_text(&self, keys: &[&str]) -> Option<&'a str> {
        let text = std::str::from_utf8(self.first(keys)?).ok()?.trim();
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_with_a_value_decides_and_text_is_trimmed() {
        let values = SecretValues::new(|key| match key {
            "empty" => Some(&b""[..]),
            "token" => Some(b" s3cret\n"),
            "binary" => Some(b"\xff"),
            _ => None,
        });
        assert_eq!(values.first_text(&["none", "empty", "token"]), Some("s3cret"));
        assert_eq!(values.first_text(&["binary", "token"]), None);
        assert_eq!(values.first(&["token"]), Some(&b" s3cret\n"[..]));
    }

    #[test]
    fn a_reference_without_a_name_refers_to_nothing() {
        let blank = SecretReference { name: " ".into(), ..SecretReference::default() };
        assert_eq!(SecretRef::new(SECRET_REF, Some(&blank)), None);
    }
}
