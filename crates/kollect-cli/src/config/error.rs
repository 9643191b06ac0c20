//! What is wrong with a directory of Kollect objects, and where. No message contains a value of a Secret.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A document of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentOrigin {
    /// The file.
    pub file: Arc<str>,
    /// 1-based; 0 when the file has only one.
    pub document: usize,
}

impl fmt::Display for DocumentOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.document == 0 {
            f.write_str(&self.file)
        } else {
            write!(f, "{}, document {}", self.file, self.document)
        }
    }
}

/// An object that breaks rules.
#[derive(Debug)]
pub struct RefusedObject {
    origin: DocumentOrigin,
    object: String,
    why: Vec<String>,
}

impl fmt::Display for RefusedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.object, self.why.join("; "))
    }
}

/// A directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or the directory cannot be read.
    #[error("--config: cannot read {place}: {source}")]
    Read {
        /// File or directory.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// A text that is neither YAML nor JSON.
    #[error("{file}:{}: {}", fault.place, fault.what)]
    Syntax {
        /// The file.
        file: Arc<str>,
        /// Where in it, and what is wrong.
        fault: kollect_manifest::ManifestFault,
    },
    /// An object whose fields are of wrong types.
    #[error("{origin}: {what}: {why}")]
    Shape {
        /// Where.
        origin: DocumentOrigin,
        /// Kind of the object.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// An object that breaks rules.
    #[error("{0}")]
    Refused(RefusedObject),
    /// Nothing to do.
    #[error("--config: {dir} has no {what}; `kollect init` writes a first one")]
    Missing {
        /// The directory.
        dir: String,
        /// What is missing.
        what: &'static str,
    },
    /// A target's profile is not there.
    #[error(
        "{origin}: target {target}: spec.profileRef: there is no KollectProfile {profile:?} in the directory; add it or correct the name"
    )]
    NoProfile {
        /// Where the target is.
        origin: DocumentOrigin,
        /// The target.
        target: String,
        /// The name it gives.
        profile: String,
    },
    /// A variable that a Secret refers to.
    #[error("{origin}: Secret {secret}, key {key}: the environment variable {variable} is not set or empty; set it")]
    NoVariable {
        /// Where.
        origin: DocumentOrigin,
        /// Name of the Secret.
        secret: String,
        /// Key in it.
        key: String,
        /// Name of the variable.
        variable: String,
    },
    /// A value of a Secret that is not base64.
    #[error("{origin}: Secret {secret}, data key {key}: the value is not base64; use stringData for plain text")]
    NotBase64 {
        /// Where.
        origin: DocumentOrigin,
        /// Name of the Secret.
        secret: String,
        /// Key in it.
        key: String,
    },
}

impl ConfigError {
    pub(super) fn refused(origin: &DocumentOrigin, kind: &str, name: &str, why: Vec<String>) -> Self {
        Self::Refused(RefusedObject { origin: origin.clone(), object: format!("{kind} {name}"), why })
    }
}
