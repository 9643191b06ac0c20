//! `helm:release.<field>`: values of a Helm release, decoded from the Secret that stores it.
//!
//! A release contains rendered manifests and user values beside harmless metadata; fields that a profile may not read
//! are never decoded.

mod decode;
mod fields;
mod path;

pub(crate) use decode::decode_release;
pub(crate) use fields::HelmFields;
pub(crate) use path::HelmPath;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
