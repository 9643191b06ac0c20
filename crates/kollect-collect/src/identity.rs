//! The uid of an object, and the derived one of an object without.

use kollect_model::{Digest, Gvk, Uid};

/// The uid of an object; derived from its kind, namespace and name where it has none, as objects of files and of some
/// aggregated API servers.
pub(crate) fn uid_of(kind: &Gvk, namespace: &str, name: &str, uid: &str) -> Uid {
    if uid.is_empty() { derived_uid(kind, namespace, name) } else { Uid::parse(uid) }
}

/// A uid that is the same whenever the same object is read: a UUID made of a hash.
pub(crate) fn derived_uid(kind: &Gvk, namespace: &str, name: &str) -> Uid {
    let mut bytes = identity(kind, namespace, name);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Uid::Uuid(bytes)
}

/// A hash of kind, namespace and name.
pub(crate) fn identity(kind: &Gvk, namespace: &str, name: &str) -> [u8; 16] {
    let identity = [&*kind.group, &*kind.version, &*kind.kind, namespace, name].join("\0");
    Digest::of(identity.as_bytes()).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_without_a_uid_has_always_the_same_one() {
        let kind = Gvk::new("", "v1", "ConfigMap");
        let text = uid_of(&kind, "shop", "a", "").to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "8"), "{text}");
        assert_eq!(uid_of(&kind, "shop", "a", "").to_string(), text);
        assert_ne!(uid_of(&kind, "shop", "b", "").to_string(), text);
        assert_eq!(uid_of(&kind, "shop", "a", "u1"), Uid::parse("u1"));
    }
}
