//! Compiles one attribute of a profile alone, so that one bad path hides no other and each value has a cost of its own.
//!
//! Kind, redaction and opt-ins are those of the profile, as when rows are made.

use kollect_api::names::{TRUE, annotation};
use kollect_api::{Attribute, ExportMode, KollectProfile, KollectProfileSpec};
use kollect_extract::{CompileError, Extractor};

/// The profile with no attribute but this one.
pub fn compile_one(
    profile: &KollectProfile,
    attribute: &Attribute,
    scrub_keys: &[String],
) -> Result<Extractor, CompileError> {
    let mut export = profile.spec.export.clone();
    if let Some(export) = &mut export {
        export.mode = ExportMode::Attributes;
    }
    compile(profile, vec![attribute.clone()], export, scrub_keys)
}

/// The profile with nothing but its copy of the object.
pub fn compile_copy(profile: &KollectProfile, scrub_keys: &[String]) -> Result<Extractor, CompileError> {
    compile(profile, Vec::new(), profile.spec.export.clone(), scrub_keys)
}

fn compile(
    profile: &KollectProfile,
    attributes: Vec<Attribute>,
    export: Option<kollect_api::ExportSettings>,
    scrub_keys: &[String],
) -> Result<Extractor, CompileError> {
    let target_gvk = profile.spec.target_gvk.clone();
    let mut alone =
        KollectProfile::new("one", KollectProfileSpec { target_gvk, attributes, export, metrics: Vec::new() });
    alone.metadata.annotations.clone_from(&profile.metadata.annotations);
    Extractor::of_profile(&alone, scrub_keys).map_err(|errors| {
        let unknown = || CompileError {
            attribute: String::new(),
            path: String::new(),
            offset: None,
            message: "cannot be compiled".to_owned(),
        };
        errors.into_iter().next().unwrap_or_else(unknown)
    })
}

/// Where compiling a path stops, whatever the profile has opted in to.
pub fn compile_offset(profile: &KollectProfile, path: &str) -> Option<usize> {
    let mut willing = profile.clone();
    let allow = (annotation::ALLOW_SECRET_EXTRACTION.to_owned(), TRUE.to_owned());
    willing.metadata.annotations.get_or_insert_default().extend([allow]);
    let attribute = Attribute { name: "path".to_owned(), path: path.to_owned(), ..Attribute::default() };
    compile_one(&willing, &attribute, &[]).err()?.offset
}
