//! Keys of rows: the target that collects a row and the object that it describes.

use crate::Gvk;
use std::fmt;
use std::sync::Arc;

/// Whether a target is a `KollectTarget` or a `KollectClusterTarget`; their rows never share keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TargetScope {
    /// A namespaced `KollectTarget`.
    Namespaced,
    /// A `KollectClusterTarget` in one workload namespace.
    Cluster,
}

/// The target that collected a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetKey {
    /// Namespace of the target (of a cluster target: the workload namespace).
    pub namespace: Arc<str>,
    /// Name of the target.
    pub name: Arc<str>,
    /// Which kind of target.
    pub scope: TargetScope,
}

impl TargetKey {
    /// The key of a namespaced target.
    pub fn namespaced(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into(), scope: TargetScope::Namespaced }
    }

    /// The key of a cluster target in one workload namespace; cluster-scoped objects use `default`.
    pub fn cluster(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into(), scope: TargetScope::Cluster }
    }
}

impl fmt::Display for TargetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An object's UID: 16 bytes when it is a UUID in its usual form, the text otherwise.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Uid {
    /// A lower-case, hyphenated UUID.
    Uuid([u8; 16]),
    /// Anything else, kept verbatim.
    Text(Box<str>),
}

impl Uid {
    /// Reads a UID. Text that a UUID would not reproduce byte for byte stays text.
    pub fn parse(text: &str) -> Self {
        parse_uuid(text.as_bytes()).map_or_else(|| Self::Text(text.into()), Self::Uuid)
    }
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    let mut bytes = [0; 16];
    let mut nibbles = 0;
    for (i, &c) in text.iter().enumerate() {
        if matches!(i, 8 | 13 | 18 | 23) {
            if c != b'-' {
                return None;
            }
            continue;
        }
        let value = match c {
            b'0'..=b'9' => c - b'0',
            b'a'..=b'f' => c - b'a' + 10,
            _ => return None,
        };
        bytes[nibbles / 2] = (bytes[nibbles / 2] << 4) | value;
        nibbles += 1;
    }
    Some(bytes)
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Uuid(b) => {
                let mut text = [0_u8; 36];
                let mut at = 0;
                for (i, byte) in b.iter().enumerate() {
                    if matches!(i, 4 | 6 | 8 | 10) {
                        text[at] = b'-';
                        at += 1;
                    }
                    text[at] = b"0123456789abcdef"[usize::from(byte >> 4)];
                    text[at + 1] = b"0123456789abcdef"[usize::from(byte & 15)];
                    at += 2;
                }
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Identity of a row: one object as collected by one target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId {
    /// The collecting target.
    pub target: Arc<TargetKey>,
    /// The object's UID.
    pub uid: Uid,
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.target, self.uid)
    }
}

/// Kind, namespace and name of a Kubernetes object. The namespace of a cluster-scoped object is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Kind of the object (the profile's `targetGVK`).
    pub gvk: Arc<Gvk>,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Box<str>,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.gvk.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.gvk.kind, self.namespace, self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_comes_back_byte_for_byte() {
        for text in ["6f3e0c1a-9b7d-4c55-8e21-0123456789ab", "6F3E0C1A-9b7d-4c55-8e21-0123456789ab", "0d1f-02", ""] {
            assert_eq!(Uid::parse(text).to_string(), text);
        }
        assert!(matches!(Uid::parse("6f3e0c1a-9b7d-4c55-8e21-0123456789ab"), Uid::Uuid(_)));
        assert!(matches!(Uid::parse("6F3E0C1A-9b7d-4c55-8e21-0123456789ab"), Uid::Text(_)));
    }
}
