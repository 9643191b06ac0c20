//! Extracts the attributes of a row from an object with a compiled profile.
//!
//! It must not decide which objects are collected.

use crate::budget::{self, StopSwitch};
use crate::error::{CompileError, ErrorClass, EvalError, ExtractError, PathError};
use crate::expression::{Expression, Input, Written};
use crate::helm::HelmFields;
use crate::mask::FieldMask;
use crate::object::RedactedObject;
use crate::profile::{AttributeSource, ProfileSource, ResourceSource};
use crate::resource::Resource;
use crate::scrub::ScrubKeys;
use crate::secret::Visibility;
use kollect_api::names::{TRUE, annotation};
use kollect_api::{ExportMode, KollectProfile};
use kollect_model::{Gvk, write_string};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// A compiled profile.
#[derive(Debug)]
pub struct Extractor {
    attributes: Vec<Attribute>,
    keys: ScrubKeys,
    mask: FieldMask,
    visibility: Visibility,
    helm: HelmFields,
}

#[derive(Debug)]
struct Attribute {
    name: Box<str>,
    optional: bool,
    expression: Expression,
}

/// Reused memory, and the limits for each object.
#[derive(Debug)]
pub struct Scratch {
    out: Vec<u8>,
    max_row_bytes: usize,
    switch: StopSwitch,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new(budget::DEFAULT_MAX_ROW_BYTES)
    }
}

impl Scratch {
    /// For rows of at most `max_row_bytes`.
    pub fn new(max_row_bytes: usize) -> Self {
        Self { out: Vec::new(), max_row_bytes, switch: StopSwitch::default() }
    }

    /// Stops evaluations with this scratch, from another thread.
    pub fn stop_switch(&self) -> StopSwitch {
        self.switch.clone()
    }

    /// Starts the work on an object for one target: predicates, then [`Extractor::extract_matched`], share its budget.
    ///
    /// All of it must run on the calling thread.
    pub fn begin(&mut self) {
        budget::begin(&self.switch, self.max_row_bytes);
    }

    /// Steps of the budget spent so far on this thread, of a million.
    pub fn spent(&self) -> u64 {
        budget::spent()
    }
}

/// A larger buffer is freed after use.
const MAX_SCRATCH: usize = 1 << 20;

impl Extractor {
    /// Compiles a profile, or returns every error in it.
    pub fn compile(source: &ProfileSource<'_>) -> Result<Self, Vec<CompileError>> {
        let mut errors = Vec::new();
        let mut attributes = Vec::with_capacity(source.attributes.len() + 1);
        let keys = ScrubKeys::new(source.scrub_keys.iter().map(String::as_str));
        let visibility = Visibility::of(source.gvk.is_core_secret(), source.allow_secret_extraction);
        let mut names = BTreeSet::new();
        for attribute in source.attributes {
            match compile_attribute(attribute, visibility, &mut names) {
                Ok(compiled) => attributes.push(compiled),
                Err(error) => errors.push(CompileError {
                    attribute: attribute.name.clone(),
                    path: attribute.path.clone(),
                    offset: error.offset,
                    message: error.message,
                }),
            }
        }
        if let Some(resource) = &source.resource {
            let name = resource.settings.as_.as_str();
            match Resource::compile(resource, source.gvk, &keys) {
                Ok(compiled) if names.insert(name) => {
                    let expression = Expression::Resource(Box::new(compiled));
                    attributes.push(Attribute { name: name.into(), optional: false, expression });
                }
                Ok(_) => errors.push(CompileError {
                    attribute: name.to_owned(),
                    path: String::new(),
                    offset: None,
                    message: "an attribute has the name of export.as; choose another".to_owned(),
                }),
                Err(more) => errors.extend(more),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        // Canonical JSON has its keys in byte order.
        attributes.sort_by(|a, b| a.name.cmp(&b.name));
        let (mut mask, mut helm) = (FieldMask::default(), HelmFields::default());
        for attribute in &attributes {
            attribute.expression.reach(&mut mask);
            if let Expression::Helm(path) = &attribute.expression {
                helm.insert(path);
            }
        }
        Ok(Self { attributes, keys, mask, visibility, helm })
    }

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

    /// The part of an object that this profile can read.
    pub fn mask(&self) -> &FieldMask {
        &self.mask
    }

    /// The mask of each attribute, by name.
    pub fn reads(&self) -> impl Iterator<Item = (&str, FieldMask)> {
        self.attributes.iter().map(|attribute| {
            let mut mask = FieldMask::nothing();
            attribute.expression.reach(&mut mask);
            (&*attribute.name, mask)
        })
    }

    /// The attributes of `object` as canonical JSON.
    pub fn extract(&self, object: &RedactedObject, scratch: &mut Scratch) -> Result<Box<RawValue>, ExtractError> {
        scratch.begin();
        self.extract_matched(object, scratch)
    }

    /// As [`Extractor::extract`], with the budget that predicates have left since [`Scratch::begin`].
    pub fn extract_matched(
        &self,
        object: &RedactedObject,
        scratch: &mut Scratch,
    ) -> Result<Box<RawValue>, ExtractError> {
        let visible = self.visibility.of_object(object, &self.keys);
        let input = Input::new(object, &visible, &self.keys, &self.helm);
        let out = &mut scratch.out;
        out.clear();
        out.push(b'{');
        for attribute in &self.attributes {
            let start = out.len();
            if start > 1 {
                out.push(b',');
            }
            write_string(&attribute.name, out);
            out.push(b':');
            match attribute.expression.write(&attribute.name, &input, out) {
                // Also fails for an optional attribute: it would be absent from the row without a reported reason.
                Err(error) if attribute.optional && error.class != ErrorClass::Limit => out.truncate(start),
                Ok(Written::Null) if attribute.optional => out.truncate(start),
                Ok(_) => budget::check_row(out.len()).map_err(|exceeded| failed(&attribute.name, exceeded.into()))?,
                Err(error) => return Err(failed(&attribute.name, error)),
            }
        }
        out.push(b'}');
        let raw = std::str::from_utf8(out).ok().and_then(|text| RawValue::from_string(text.to_owned()).ok());
        if out.capacity() > MAX_SCRATCH {
            *out = Vec::new();
        }
        raw.ok_or_else(|| failed("", EvalError::new(ErrorClass::NotJson, "the attributes are not valid JSON")))
    }
}

fn failed(attribute: &str, error: EvalError) -> ExtractError {
    ExtractError { attribute: attribute.to_owned(), class: error.class, message: error.message.into_owned() }
}

fn compile_attribute<'a>(
    source: &'a AttributeSource,
    visibility: Visibility,
    names: &mut BTreeSet<&'a str>,
) -> Result<Attribute, PathError> {
    if source.name.is_empty() {
        return Err(PathError::new("the attribute has no name"));
    }
    if !names.insert(&source.name) {
        return Err(PathError::new("another attribute has the same name"));
    }
    Ok(Attribute {
        name: source.name.as_str().into(),
        optional: source.optional,
        expression: Expression::compile(&source.path, visibility)?,
    })
}
