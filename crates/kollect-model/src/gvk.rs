//! Group, version and kind of a Kubernetes resource.

use std::fmt;
use std::sync::Arc;

/// A Kubernetes group, version and kind. The core group is the empty string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvk {
    /// API group; empty for the core group.
    pub group: Arc<str>,
    /// API version, e.g. `v1`.
    pub version: Arc<str>,
    /// Kind, e.g. `Deployment`.
    pub kind: Arc<str>,
}

impl Gvk {
    /// Builds a kind from its three parts.
    pub fn new(group: &str, version: &str, kind: &str) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// `v1` or `apps/v1`, as in an object's `apiVersion`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Equality that ignores case, as scope allow-lists compare kinds.
    pub fn matches_ignoring_case(&self, other: &Self) -> bool {
        self.group.eq_ignore_ascii_case(&other.group)
            && self.version.eq_ignore_ascii_case(&other.version)
            && self.kind.eq_ignore_ascii_case(&other.kind)
    }

    /// Whether this is the core `Secret`, whose data needs an opt-in. Ignores case: a misspelt kind is no way around it.
    pub fn is_core_secret(&self) -> bool {
        (self.group.is_empty() || self.group.eq_ignore_ascii_case("core")) && self.kind.eq_ignore_ascii_case("secret")
    }
}

impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            write!(f, "{}/{}", self.version, self.kind)
        } else {
            write!(f, "{}/{}/{}", self.group, self.version, self.kind)
        }
    }
}
