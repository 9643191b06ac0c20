//! Path templates: `inventory/{namespace}/{name}{extension}` and the like, parsed once and rendered per file.
//!
//! Rendered paths become Git tree entries and object keys, so a value can never add a segment, leave the destination,
//! or reach the files of Git or the ownership records.

mod facts;

pub use facts::{FilenameOptions, GroupInPath, PathFacts};

use crate::layout::pattern::{ANY_TEXT, OPTIONAL_TEXT};
use crate::layout::segments::{Limits, PathError, join_segments, sanitise};
use kollect_model::{ObjectKey, RowId, TargetKey};
use std::borrow::Cow;

/// Default template of documents in Git.
pub const DEFAULT_DOCUMENT_TEMPLATE: &str = "inventory/{namespace}/{name}{extension}";
/// Default template of documents in object stores.
pub const DEFAULT_OBJECT_TEMPLATE: &str = "inventory/{namespace}/{name}.json";
/// Default template of files of single rows.
pub const DEFAULT_ROW_TEMPLATE: &str = "{cluster}/{sourceNamespace}/{kind}/{sourceName}{extension}";

/// Which placeholders a template may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grammar {
    /// `spec.pathTemplate`: one path per inventory.
    Document,
    /// `layout.pathTemplate`: one path per row.
    Row,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Cluster,
    Namespace,
    Name,
    Generation,
    Extension,
    TargetNamespace,
    TargetName,
    SourceNamespace,
    SourceName,
    Group,
    Kind,
    Uid,
}

const DOCUMENT_FIELDS: [(&str, Field); 5] = [
    ("cluster", Field::Cluster),
    ("namespace", Field::Namespace),
    ("name", Field::Name),
    ("generation", Field::Generation),
    ("extension", Field::Extension),
];

const ROW_FIELDS: [(&str, Field); 7] = [
    ("targetNamespace", Field::TargetNamespace),
    ("targetName", Field::TargetName),
    ("sourceNamespace", Field::SourceNamespace),
    ("sourceName", Field::SourceName),
    ("group", Field::Group),
    ("kind", Field::Kind),
    ("uid", Field::Uid),
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Value(Field),
}

/// A template that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing in it.
    #[error("the path template is empty")]
    Empty,
    /// Starts with a slash.
    #[error("the path template must be relative: remove the leading \"/\"")]
    Absolute,
    /// Contains `..`.
    #[error("the path template must not contain \"..\"")]
    Parent,
    /// Contains a control character.
    #[error("the path template must not contain control characters")]
    Control,
    /// Names a placeholder that does not exist.
    #[error("unknown placeholder {{{name}}}; known are {known}")]
    UnknownPlaceholder {
        /// The unknown name.
        name: String,
        /// The known ones.
        known: String,
    },
    /// Would render the same path for different inventories or rows.
    #[error("the path template must contain {needs}, else different content would share one path")]
    NoIdentity {
        /// What is needed.
        needs: &'static str,
    },
}

/// A parsed path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    grammar: Grammar,
    pieces: Box<[Piece]>,
}

impl PathTemplate {
    /// Parses and checks a template.
    pub fn parse(text: &str, grammar: Grammar) -> Result<Self, TemplateError> {
        if text.trim().is_empty() {
            return Err(TemplateError::Empty);
        }
        if text.starts_with('/') {
            return Err(TemplateError::Absolute);
        }
        if text.contains("..") {
            return Err(TemplateError::Parent);
        }
        if text.chars().any(char::is_control) {
            return Err(TemplateError::Control);
        }
        let template = Self { grammar, pieces: pieces(text, grammar)?.into() };
        let has = |field| template.pieces.contains(&Piece::Value(field));
        match grammar {
            Grammar::Document if !(has(Field::Namespace) && has(Field::Name)) => {
                Err(TemplateError::NoIdentity { needs: "{namespace} and {name}" })
            }
            Grammar::Row if !(has(Field::SourceName) || has(Field::Name) || has(Field::Uid)) => {
                Err(TemplateError::NoIdentity { needs: "{sourceName}, {name} or {uid}" })
            }
            _ => Ok(template),
        }
    }

    /// Path of the document of an inventory.
    pub fn render_document(&self, facts: &PathFacts<'_>) -> Result<String, PathError> {
        self.render(facts, None)
    }

    /// Path of the file of one row.
    pub fn render_row(&self, facts: &PathFacts<'_>, id: &RowId, object: &ObjectKey) -> Result<String, PathError> {
        self.render(facts, Some((id, object)))
    }

    /// The template with [`ANY_TEXT`] or [`OPTIONAL_TEXT`] for every value that may differ between the rows of a part,
    /// or between any rows without a part. Generation and extension differ too: the file may be older than the last
    /// edit.
    pub(super) fn pattern(&self, facts: &PathFacts<'_>, part: Option<(&TargetKey, Option<&str>)>) -> String {
        let mut path = String::with_capacity(96);
        for piece in &self.pieces {
            let field = match piece {
                Piece::Literal(text) => {
                    path.push_str(text);
                    continue;
                }
                Piece::Value(field) => *field,
            };
            let value = match (field, part) {
                (Field::Cluster | Field::Namespace | Field::Name, _) => value_of(field, facts, None),
                (Field::TargetNamespace, Some((target, _))) => Cow::Borrowed(&*target.namespace),
                (Field::TargetName, Some((target, _))) => Cow::Borrowed(&*target.name),
                (Field::SourceNamespace, Some((_, Some(namespace)))) => Cow::Borrowed(namespace),
                _ => {
                    let may_be_empty = matches!(field, Field::Group | Field::SourceNamespace);
                    path.push(if may_be_empty { OPTIONAL_TEXT } else { ANY_TEXT });
                    continue;
                }
            };
            path.push_str(&sanitise(&value, self.limits(field, facts)));
        }
        path
    }

    fn limits(&self, field: Field, facts: &PathFacts<'_>) -> Limits {
        // Names of inventories may be longer than a segment; cutting them would give two documents one path.
        let longest = match self.grammar {
            Grammar::Document => usize::MAX,
            Grammar::Row => facts.filename.max_segment_length.max(1),
        };
        // Kinds contain capitals, and the other fields are equal for every row.
        let one_case = matches!(
            field,
            Field::TargetNamespace
                | Field::TargetName
                | Field::SourceNamespace
                | Field::SourceName
                | Field::Group
                | Field::Uid
        );
        Limits { longest, one_case }
    }

    fn render(&self, facts: &PathFacts<'_>, row: Option<(&RowId, &ObjectKey)>) -> Result<String, PathError> {
        let mut path = String::with_capacity(96);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => path.push_str(text),
                Piece::Value(Field::Extension) => path.push_str(facts.extension),
                Piece::Value(field) => {
                    let value = value_of(*field, facts, row);
                    path.push_str(&sanitise(&value, self.limits(*field, facts)));
                }
            }
        }
        join_segments(path)
    }
}

fn pieces(text: &str, grammar: Grammar) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        literal.push_str(&rest[..open]);
        let inside = &rest[open + 1..];
        let name = inside.find(['{', '}']).filter(|&end| inside[end..].starts_with('}')).map(|end| &inside[..end]);
        let Some(name) = name else {
            literal.push('{');
            rest = inside;
            continue;
        };
        match field(name, grammar)? {
            Some(field) => {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
                }
                pieces.push(Piece::Value(field));
            }
            None => literal.extend(["{", name, "}"]),
        }
        rest = &inside[name.len() + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
    Ok(pieces)
}

/// The field of a placeholder; `None` for text in braces that is no placeholder and stays literal.
fn field(name: &str, grammar: Grammar) -> Result<Option<Field>, TemplateError> {
    let of_rows: &[_] = if grammar == Grammar::Row { &ROW_FIELDS } else { &[] };
    let known = || DOCUMENT_FIELDS.iter().chain(of_rows);
    if let Some((_, field)) = known().find(|(word, _)| *word == name) {
        return Ok(Some(*field));
    }
    let is_meant = !name.is_empty()
        && match grammar {
            Grammar::Document => name.bytes().all(|c| c.is_ascii_lowercase()),
            Grammar::Row => name.bytes().all(|c| c.is_ascii_alphabetic()),
        };
    if is_meant {
        let known = known().map(|(word, _)| format!("{{{word}}}")).collect::<Vec<_>>().join(" ");
        return Err(TemplateError::UnknownPlaceholder { name: name.to_owned(), known });
    }
    Ok(None)
}

fn value_of<'a>(field: Field, facts: &PathFacts<'a>, row: Option<(&'a RowId, &'a ObjectKey)>) -> Cow<'a, str> {
    let of_row =
        |text: fn(&'a RowId, &'a ObjectKey) -> &'a str| Cow::Borrowed(row.map_or("", |(id, object)| text(id, object)));
    match field {
        Field::Cluster if facts.cluster.is_empty() => Cow::Borrowed("default"),
        Field::Cluster => Cow::Borrowed(facts.cluster),
        Field::Namespace => Cow::Borrowed(facts.namespace),
        Field::Name => Cow::Borrowed(facts.name),
        Field::Generation => Cow::Owned(facts.generation.to_string()),
        Field::Extension => Cow::Borrowed(facts.extension),
        Field::TargetNamespace => of_row(|id, _| &id.target.namespace),
        Field::TargetName => of_row(|id, _| &id.target.name),
        Field::SourceNamespace => of_row(|_, object| &object.namespace),
        Field::SourceName => of_row(|_, object| &object.name),
        Field::Group if facts.filename.group_in_path == GroupInPath::Never => Cow::Borrowed(""),
        Field::Group => of_row(|_, object| &object.gvk.group),
        Field::Kind => {
            let kind = of_row(|_, object| &object.gvk.kind);
            if facts.filename.lowercase_kind { Cow::Owned(kind.to_lowercase()) } else { kind }
        }
        Field::Uid => Cow::Owned(row.map_or_else(String::new, |(id, _)| id.uid.to_string())),
    }
}

#[cfg(test)]
mod tests;
