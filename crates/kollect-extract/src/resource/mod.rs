//! `export.mode: Resource`: a pruned and redacted copy of the whole object, kept as one more attribute.
//!
//! The copy is written while the object is traversed, never built. It reads data of Secrets and must redact them.

mod prune;

pub use prune::is_prune_path;

use crate::error::{CompileError, EvalError};
use crate::mask::{FieldMask, MaskStep};
use crate::object::RedactedObject;
use crate::profile::ResourceSource;
use crate::scrub::{self, LAST_APPLIED, ScrubKeys};
use kollect_api::ExportInclude;
use kollect_model::{Gvk, write_string};
use prune::Prune;
use serde_json::{Map, Value};

const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";

/// How the copy of an object of one kind is written.
#[derive(Debug)]
pub(crate) struct Resource {
    /// Sections beside `apiVersion` and `kind`; nothing means all.
    sections: Option<&'static [&'static str]>,
    prune: Prune,
    api_version: Box<str>,
    kind: Box<str>,
}

impl Resource {
    /// Compiles the settings. Every error contains a remedy.
    pub(crate) fn compile(source: &ResourceSource<'_>, gvk: &Gvk, keys: &ScrubKeys) -> Result<Self, Vec<CompileError>> {
        let settings = source.settings;
        let mut errors = Vec::new();
        let mut refuse = |path: &str, message: &str| {
            errors.push(CompileError {
                attribute: String::new(),
                path: path.to_owned(),
                offset: None,
                message: message.to_owned(),
            });
        };
        if settings.as_.is_empty() {
            refuse("", "export.as is empty; it is the name of the attribute that holds the copy");
        }
        if keys.is_sensitive(&settings.as_) {
            refuse(&settings.as_, "export.as is a sensitive name, so the copy would be redacted; choose another");
        }
        if gvk.is_core_secret() && !source.allow_secrets {
            let message = "export.mode: Resource copies Secrets; allow it with the annotation \
                           kollect.dev/allow-full-resource-export: \"true\"";
            refuse("", message);
        }
        if let Some(expression) = settings.prune.iter().flat_map(|prune| &prune.cel).next() {
            let message = "export.prune.cel is not supported; use jsonPointers, jsonPaths or scrubKeys";
            refuse(expression, message);
        }
        let prune = match compile_prune(source) {
            Ok(prune) => prune,
            Err(error) => {
                errors.push(error);
                Prune::default()
            }
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            sections: sections(settings.include),
            prune,
            api_version: gvk.api_version().into(),
            kind: (*gvk.kind).into(),
        })
    }

    /// Adds everything that the copy contains.
    pub(crate) fn reach(&self, mask: &mut FieldMask) {
        let keys = |path: &[&str]| -> Vec<MaskStep> { path.iter().map(|key| MaskStep::Field((*key).into())).collect() };
        match self.sections {
            None => mask.insert(&[], true),
            Some(sections) => {
                for section in sections {
                    mask.insert(&keys(&[section]), true);
                }
            }
        }
        let metadata =
            self.sections.is_none_or(|sections| sections.contains(&"metadata")) && !self.prune.drops("metadata");
        if metadata && !self.prune.field("metadata").is_some_and(|place| place.drops("managedFields")) {
            mask.insert(&keys(&["metadata", "managedFields"]), true);
        }
    }

    /// Appends the copy of `object` as canonical JSON.
    pub(crate) fn write(&self, object: &RedactedObject, keys: &ScrubKeys, out: &mut Vec<u8>) -> Result<(), EvalError> {
        let visible = keys.redact(object.value());
        let Value::Object(fields) = &*visible else {
            return Err(EvalError::wrong_type("the object is no JSON object"));
        };
        // Items of a list have neither; both are inserted in the order of keys.
        let mut known = [("apiVersion", &self.api_version), ("kind", &self.kind)].into_iter().peekable();
        let mut writer = MemberWriter { first: true };
        out.push(b'{');
        for (key, value, hidden) in members(fields, object) {
            while let Some((name, text)) = known.next_if(|(name, _)| *name <= key) {
                self.write_known(name, text, &mut writer, out);
            }
            let chosen = self.sections.is_none_or(|sections| sections.contains(&key));
            if !chosen || matches!(key, "apiVersion" | "kind") || self.prune.drops(key) {
                continue;
            }
            writer.key(key, out);
            if hidden {
                write_redacted(value, self.prune.field(key), out);
            } else {
                write(value, self.prune.field(key), out, 1)?;
            }
        }
        for (name, text) in known {
            self.write_known(name, text, &mut writer, out);
        }
        out.push(b'}');
        Ok(())
    }

    fn write_known(&self, name: &str, text: &str, writer: &mut MemberWriter, out: &mut Vec<u8>) {
        if !self.prune.drops(name) {
            writer.key(name, out);
            write_string(text, out);
        }
    }
}

/// The members of an object in order, including the hidden data of a Secret (`true`).
fn members<'o>(
    fields: &'o Map<String, Value>,
    object: &'o RedactedObject,
) -> impl Iterator<Item = (&'o str, &'o Value, bool)> {
    let secret = object.secret().into_iter();
    let hidden =
        secret.flat_map(|secret| [("data", secret.data.as_ref()), ("stringData", secret.string_data.as_ref())]);
    let mut hidden = hidden.filter_map(|(key, value)| Some((key, value?, true))).peekable();
    let mut fields = fields.iter().map(|(key, value)| (key.as_str(), value, false)).peekable();
    std::iter::from_fn(move || match (hidden.peek(), fields.peek()) {
        (Some(a), Some(b)) if a.0 < b.0 => hidden.next(),
        (Some(_), None) => hidden.next(),
        _ => fields.next(),
    })
}

fn compile_prune(source: &ResourceSource<'_>) -> Result<Prune, CompileError> {
    let settings = source.settings;
    let mut prune = Prune::default();
    if settings.dedupe_identity.unwrap_or(true) {
        for field in ["name", "namespace", "uid"] {
            prune.drop_fields(&["metadata", field]);
        }
    }
    let chosen = settings.prune.as_ref();
    if chosen.and_then(|prune| prune.defaults).unwrap_or(true) {
        for field in ["managedFields", "resourceVersion", "generation"] {
            prune.drop_fields(&["metadata", field]);
        }
        for key in [LAST_APPLIED, TRACKING_ID] {
            prune.drop_fields(&["metadata", "annotations", key]);
        }
    }
    let mut left = prune::MAX_NODES;
    let pointers = chosen.iter().flat_map(|chosen| &chosen.json_pointers).map(|text| (true, text));
    let paths = chosen.iter().flat_map(|chosen| &chosen.json_paths).map(|text| (false, text));
    for (is_pointer, text) in pointers.chain(paths) {
        let dropped = if is_pointer { prune.drop_pointer(text, &mut left) } else { prune.drop_path(text, &mut left) };
        dropped.map_err(|error| CompileError {
            attribute: String::new(),
            path: text.clone(),
            offset: error.offset,
            message: error.message,
        })?;
    }
    Ok(prune)
}

fn sections(include: ExportInclude) -> Option<&'static [&'static str]> {
    match include {
        ExportInclude::MetadataOnly => Some(&["metadata"]),
        ExportInclude::SpecOnly => Some(&["spec"]),
        ExportInclude::StatusOnly => Some(&["status"]),
        ExportInclude::SpecAndStatus => Some(&["spec", "status"]),
        ExportInclude::All => None,
    }
}

/// Writes keys, and commas between members.
struct MemberWriter {
    first: bool,
}

impl MemberWriter {
    fn key(&mut self, key: &str, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.first) {
            out.push(b',');
        }
        write_string(key, out);
        out.push(b':');
    }
}

/// Writes keys with redacted values.
fn write_redacted(value: &Value, place: Option<&Prune>, out: &mut Vec<u8>) {
    let Value::Object(map) = value else {
        return out.extend_from_slice(if value.is_null() { b"null" } else { scrub::REPLACEMENT });
    };
    let mut writer = MemberWriter { first: true };
    out.push(b'{');
    for key in map.keys().filter(|key| !place.is_some_and(|place| place.drops(key))) {
        writer.key(key, out);
        out.extend_from_slice(scrub::REPLACEMENT);
    }
    out.push(b'}');
}

fn write(value: &Value, place: Option<&Prune>, out: &mut Vec<u8>, depth: usize) -> Result<(), EvalError> {
    let Some(place) = place else { return scrub::write(value, out, depth) };
    if depth > scrub::MAX_DEPTH {
        return Err(EvalError::limit("the value is nested too deeply"));
    }
    match value {
        Value::Object(map) => {
            let mut writer = MemberWriter { first: true };
            out.push(b'{');
            for (key, value) in map {
                let below = place.field(key);
                if below.is_some_and(|below| below.dropped) {
                    continue;
                }
                writer.key(key, out);
                write(value, below, out, depth + 1)?;
            }
            out.push(b'}');
            Ok(())
        }
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                match place.index(i) {
                    // The others keep their index.
                    Some(below) if below.dropped => out.extend_from_slice(b"null"),
                    below => write(item, below, out, depth + 1)?,
                }
            }
            out.push(b']');
            Ok(())
        }
        scalar => scrub::write(scalar, out, depth),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
