//! Path templates: `inventory/{namespace}/{name}{extension}` and the like, parsed once and rendered per file.
//!
//! Rendered paths become Git tree entries and object keys, so a value can never add a segment, climb out of the
//! destination, or reach Git's own or our own bookkeeping.

use kollect_model::{ObjectKey, RowId};
use std::borrow::Cow;

/// Default template of documents in Git.
pub const DEFAULT_DOCUMENT_TEMPLATE: &str = "inventory/{namespace}/{name}{extension}";
/// Default template of documents in object stores.
pub const DEFAULT_OBJECT_TEMPLATE: &str = "inventory/{namespace}/{name}.json";
/// Default template of files of single rows.
pub const DEFAULT_ROW_TEMPLATE: &str = "{cluster}/{sourceNamespace}/{kind}/{sourceName}{extension}";

/// Folder of the ownership records; no layout may write into it.
pub(super) const RECORD_FOLDER: &str = ".kollect";

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

/// A values-to-path failure, without values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No segment is left.
    #[error("every segment of the path is empty")]
    Empty,
    /// A segment is `.` or `..`.
    #[error("a segment of the path is \".\" or \"..\"")]
    Dots,
    /// A segment that Git or the ownership record needs.
    #[error("the path uses a name that is reserved (.git, or .kollect at the top)")]
    Reserved,
}

/// `layout.filename.groupInPath`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GroupInPath {
    /// Like `Always`: the core group has an empty segment, which vanishes.
    #[default]
    Auto,
    /// `{group}` is the API group.
    Always,
    /// `{group}` is empty.
    Never,
}

/// `layout.filename`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FilenameOptions {
    /// What `{group}` renders to.
    pub group_in_path: GroupInPath,
    /// Whether `{kind}` is lower-cased.
    pub lowercase_kind: bool,
    /// Longest value in bytes.
    pub max_segment_length: usize,
}

impl Default for FilenameOptions {
    fn default() -> Self {
        Self { group_in_path: GroupInPath::Auto, lowercase_kind: true, max_segment_length: 63 }
    }
}

/// What a template is filled with, besides the row.
#[derive(Clone, Copy, Debug)]
pub struct PathFacts<'a> {
    /// `spec.cluster` of the sink; empty renders as `default`.
    pub cluster: &'a str,
    /// Namespace of the inventory.
    pub namespace: &'a str,
    /// Name of the inventory.
    pub name: &'a str,
    /// `metadata.generation` of the inventory.
    pub generation: i64,
    /// Extension with its dot.
    pub extension: &'a str,
    /// How values of rows are cut and cased.
    pub filename: FilenameOptions,
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

    fn render(&self, facts: &PathFacts<'_>, row: Option<(&RowId, &ObjectKey)>) -> Result<String, PathError> {
        // Names of inventories may be longer than a segment of a row's path; cutting them would join two documents.
        let longest = match self.grammar {
            Grammar::Document => usize::MAX,
            Grammar::Row => facts.filename.max_segment_length.max(1),
        };
        let mut path = String::with_capacity(96);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => path.push_str(text),
                Piece::Value(Field::Extension) => path.push_str(facts.extension),
                Piece::Value(field) => {
                    let value = value_of(*field, facts, row);
                    path.push_str(&sanitise(&value, longest));
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

/// The field of a placeholder; `None` for text in braces that is no placeholder and stays as it is.
fn field(name: &str, grammar: Grammar) -> Result<Option<Field>, TemplateError> {
    let of_rows: &[_] = if grammar == Grammar::Row { &ROW_FIELDS } else { &[] };
    let known = || DOCUMENT_FIELDS.iter().chain(of_rows);
    if let Some((_, field)) = known().find(|(word, _)| *word == name) {
        return Ok(Some(*field));
    }
    let looks_meant = !name.is_empty()
        && match grammar {
            Grammar::Document => name.bytes().all(|c| c.is_ascii_lowercase()),
            Grammar::Row => name.bytes().all(|c| c.is_ascii_alphabetic()),
        };
    if looks_meant {
        let known = known().map(|(word, _)| format!("{{{word}}}")).collect::<Vec<_>>().join(" ");
        return Err(TemplateError::UnknownPlaceholder { name: name.to_owned(), known });
    }
    Ok(None)
}

fn value_of<'a>(field: Field, facts: &PathFacts<'a>, row: Option<(&'a RowId, &'a ObjectKey)>) -> Cow<'a, str> {
    let of_row = |text: fn(&'a RowId, &'a ObjectKey) -> &'a str| Cow::Borrowed(row.map_or("", |(id, object)| text(id, object)));
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

/// A value as part of one segment: separators and repeated dots become `-`, and the ends are clean after cutting too.
pub(super) fn sanitise(value: &str, longest: usize) -> Cow<'_, str> {
    let separates = |c: char| matches!(c, '/' | '\\' | ':') || c.is_control();
    let value = value.trim();
    if value.len() <= longest && !value.contains(separates) && !value.contains("..") {
        return Cow::Borrowed(value.trim_matches(['.', '-']));
    }
    let mut clean = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        if separates(c) {
            while chars.next_if(|&next| separates(next)).is_some() {}
            clean.push('-');
        } else if c == '.' && chars.next_if_eq(&'.').is_some() {
            while chars.next_if_eq(&'.').is_some() {}
            clean.push('-');
        } else {
            clean.push(c);
        }
    }
    let clean = clean.trim_matches(['.', '-']);
    let cut = clean.floor_char_boundary(longest.min(clean.len()));
    Cow::Owned(clean[..cut].trim_matches(['.', '-']).to_owned())
}

fn join_segments(path: String) -> Result<String, PathError> {
    let mut first = true;
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        if matches!(segment, "." | "..") {
            return Err(PathError::Dots);
        }
        if segment.eq_ignore_ascii_case(".git") || (first && segment.eq_ignore_ascii_case(RECORD_FOLDER)) {
            return Err(PathError::Reserved);
        }
        first = false;
    }
    if first {
        return Err(PathError::Empty);
    }
    if path.starts_with('/') || path.ends_with('/') || path.contains("//") {
        return Ok(path.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/"));
    }
    Ok(path)
}

/// The path of part `index` of `total`: `daily.json` becomes `daily.part-0002-of-0003.json`.
pub(super) fn part_path(path: &str, index: u32, total: u32) -> String {
    let name_at = path.rfind('/').map_or(0, |slash| slash + 1);
    let dot = path[name_at..].rfind('.').map_or(path.len(), |dot| name_at + dot);
    format!("{}.part-{index:04}-of-{total:04}{}", &path[..dot], &path[dot..])
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
