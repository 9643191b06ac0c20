//! How a value is extracted: a compiled profile, object in, attributes out.
//!
//! Separate as the one way from an object to the attributes of a row. It must not decide which objects are collected.

use crate::error::{CompileError, ErrorClass, EvalError, ExtractError, PathError};
use crate::expression::{Expression, Written};
use crate::mask::FieldMask;
use crate::scrub::ScrubKeys;
use crate::secret::Visibility;
use kollect_model::{Gvk, write_string};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

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
    pub resource_mode: bool,
}

/// One attribute of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeSource {
    /// Key in the row.
    pub name: String,
    /// JSONPath, or CEL with the prefix `cel:`.
    pub path: String,
    /// Leave the attribute out when it has no value or fails, instead of writing null or failing the object.
    pub optional: bool,
}

/// A compiled profile.
#[derive(Debug)]
pub struct Extractor {
    attributes: Vec<Attribute>,
    keys: ScrubKeys,
    mask: FieldMask,
    visibility: Visibility,
}

#[derive(Debug)]
struct Attribute {
    name: Box<str>,
    optional: bool,
    expression: Expression,
}

/// Memory that is used again for the next object.
#[derive(Debug, Default)]
pub struct Scratch {
    out: Vec<u8>,
}

/// Scratch memory larger than this is given back.
const MAX_SCRATCH: usize = 1 << 20;

impl Extractor {
    /// Compiles a profile, or names everything that is wrong with it.
    pub fn compile(source: &ProfileSource<'_>) -> Result<Self, Vec<CompileError>> {
        let mut errors = Vec::new();
        let mut attributes = Vec::with_capacity(source.attributes.len());
        let mut mask = FieldMask::default();
        if source.resource_mode {
            errors.push(CompileError {
                attribute: String::new(),
                path: String::new(),
                offset: None,
                message: "not supported yet in this version: export.mode: Resource".to_owned(),
            });
        }
        let mut names = BTreeSet::new();
        for attribute in source.attributes {
            match compile_attribute(attribute, &mut names) {
                Ok(compiled) => {
                    compiled.expression.reach(&mut mask);
                    attributes.push(compiled);
                }
                Err(error) => errors.push(CompileError {
                    attribute: attribute.name.clone(),
                    path: attribute.path.clone(),
                    offset: error.offset,
                    message: error.message,
                }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        // Canonical JSON has its keys in byte order.
        attributes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            attributes,
            keys: ScrubKeys::new(source.scrub_keys.iter().map(String::as_str)),
            mask,
            visibility: Visibility::of(source.gvk.is_core_secret(), source.allow_secret_extraction),
        })
    }

    /// The part of an object that this profile can read.
    pub fn mask(&self) -> &FieldMask {
        &self.mask
    }

    /// The attributes of `object` as canonical JSON.
    pub fn extract(&self, object: &Value, scratch: &mut Scratch) -> Result<Box<RawValue>, ExtractError> {
        let object = self.visibility.of_object(object);
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
            match attribute.expression.write(&attribute.name, &object, &self.keys, out) {
                Ok(Written::Null) | Err(_) if attribute.optional => out.truncate(start),
                Ok(_) => {}
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

fn compile_attribute<'a>(source: &'a AttributeSource, names: &mut BTreeSet<&'a str>) -> Result<Attribute, PathError> {
    if source.name.is_empty() {
        return Err(PathError::new("the attribute has no name"));
    }
    if !names.insert(&source.name) {
        return Err(PathError::new("another attribute has the same name"));
    }
    Ok(Attribute {
        name: source.name.as_str().into(),
        optional: source.optional,
        expression: Expression::compile(&source.path)?,
    })
}
