//! The settings of a profile that extraction compiles.

use kollect_api::ExportSettings;
use kollect_model::Gvk;

/// The settings of a profile that extraction compiles.
#[derive(Clone, Copy, Debug)]
pub struct ProfileSource<'a> {
    /// Kind of the objects.
    pub gvk: &'a Gvk,
    /// The attributes in any order.
    pub attributes: &'a [AttributeSource],
    /// Sensitive key names of the operator and of the profile, beside the built-in ones.
    pub scrub_keys: &'a [String],
    /// The profile opted in to read the data of core Secrets.
    pub allow_secret_extraction: bool,
    /// The profile exports a copy of the whole object (`export.mode: Resource`).
    pub resource: Option<ResourceSource<'a>>,
}

/// How the copy of the whole object is made.
#[derive(Clone, Copy, Debug)]
pub struct ResourceSource<'a> {
    /// The settings, whose mode does not matter here.
    pub settings: &'a ExportSettings,
    /// The profile opted in to copy core Secrets, whose data is redacted even so.
    pub allow_secrets: bool,
}

/// One attribute of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeSource {
    /// Key in the row.
    pub name: String,
    /// JSONPath, or CEL with the prefix `cel:`, or a field of a Helm release with the prefix `helm:release.`.
    pub path: String,
    /// Leave the attribute out when it has no value or fails, instead of writing null or failing the object.
    pub optional: bool,
}
