//! What a profile says, as far as extraction goes.
//!
//! Separate from compiling it, so that the settings of a KollectProfile object are read in one place.

use crate::error::CompileError;
use crate::extractor::Extractor;
use kollect_api::names::{TRUE, annotation};
use kollect_api::{ExportMode, ExportSettings, KollectProfile};
use kollect_model::Gvk;

/// What a profile says, as far as extraction goes.
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
    /// The profile asks for a copy of the whole object (`export.mode: Resource`).
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

impl Extractor {
    /// Compiles a KollectProfile object: attributes, export settings, key names and both opt-in annotations.
    ///
    /// `operator_scrub_keys` are the sensitive key names of the operator, beside the built-in ones.
    pub fn of_profile(profile: &KollectProfile, operator_scrub_keys: &[String]) -> Result<Self, Vec<CompileError>> {
        let spec = &profile.spec;
        let attributes: Vec<AttributeSource> = spec
            .attributes
            .iter()
            .map(|a| AttributeSource { name: a.name.clone(), path: a.path.clone(), optional: a.optional })
            .collect();
        let mut scrub_keys = operator_scrub_keys.to_vec();
        if let Some(prune) = spec.export.as_ref().and_then(|export| export.prune.as_ref()) {
            scrub_keys.extend(prune.scrub_keys.iter().cloned());
        }
        let opted_in =
            |key| profile.metadata.annotations.as_ref().and_then(|all| all.get(key)).is_some_and(|value| value == TRUE);
        let resource = spec.export.as_ref().filter(|export| export.mode == ExportMode::Resource);
        Self::compile(&ProfileSource {
            gvk: &Gvk::from(&spec.target_gvk),
            attributes: &attributes,
            scrub_keys: &scrub_keys,
            allow_secret_extraction: opted_in(annotation::ALLOW_SECRET_EXTRACTION),
            resource: resource.map(|settings| ResourceSource {
                settings,
                allow_secrets: opted_in(annotation::ALLOW_FULL_RESOURCE_EXPORT),
            }),
        })
    }
}
