//! Faults of a text with their places. Messages never contain a value of the file.

use crate::limits::{MAX_ALIAS_BYTES, MAX_DEPTH, MAX_DOCUMENT_BYTES, MAX_DOCUMENTS, MAX_NODES, MAX_OBJECT_BYTES};
use std::fmt;
use std::io;

/// A place in a text; line and column are counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineColumn {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl Default for LineColumn {
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

impl LineColumn {
    /// The place of a byte of `text`, which begins at the place `self`.
    pub(crate) fn advanced(self, text: &[u8], byte: usize) -> Self {
        let before = &text[..byte.min(text.len())];
        let lines = memchr::memchr_iter(b'\n', before).count() as u64;
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let characters = before[line_start..].iter().filter(|byte| !matches!(byte, 0x80..=0xbf)).count() as u64;
        let column = if lines == 0 { self.column + characters } else { characters + 1 };
        Self { line: self.line + lines, column }
    }
}

impl fmt::Display for LineColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A part of a text that cannot be read: a document, or the rest of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {what}", place.line, place.column)]
pub struct ManifestFault {
    /// Where.
    pub place: LineColumn,
    /// Cause and remedy.
    pub what: FaultKind,
}

impl ManifestFault {
    pub(crate) fn new(place: LineColumn, what: FaultKind) -> Self {
        Self { place, what }
    }
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// Bytes that are not text.
    #[error("the bytes here are not UTF-8 text; save the file as UTF-8 or as UTF-16 with a byte order mark")]
    NotUtf8,
    /// UTF-16 with half a character.
    #[error("the file is UTF-16 with a broken character here; save it as UTF-8")]
    BrokenUtf16,
    /// An encoding that is not read.
    #[error("the file is UTF-32; save it as UTF-8")]
    Utf32,
    /// A control character.
    #[error("this is a control character; remove it, or write it as an escape such as \\u0000 in a quoted text")]
    Control,
    /// Nesting.
    #[error("maps and lists are nested deeper than {MAX_DEPTH} levels, which no Kubernetes object is; flatten them")]
    TooDeep,
    /// Size of an object.
    #[error("one object has more than {} MiB; split it", MAX_OBJECT_BYTES >> 20)]
    ObjectTooLarge,
    /// Keys and values of an object.
    #[error("one object has more than {MAX_NODES} keys and values; split it")]
    TooManyNodes,
    /// Size of a document.
    #[error("one YAML document has more than {} MiB; split it with --- lines", MAX_DOCUMENT_BYTES >> 20)]
    DocumentTooLarge,
    /// Number of documents.
    #[error("the file has more than {MAX_DOCUMENTS} documents; split it into several files")]
    TooManyDocuments,
    /// Expansion.
    #[error(
        "the anchors and aliases (&name, *name) of this document expand to more than {} MiB; write the values out",
        MAX_ALIAS_BYTES >> 20
    )]
    AliasesTooLarge,
    /// An alias without an anchor.
    #[error("this alias (*name) has no anchor (&name) before it in its document; define it, or quote the text")]
    UnknownAlias,
    /// An alias inside of what it names.
    #[error("this alias (*name) is inside the value that it names; write the value out")]
    RecursiveAlias,
    /// The same key twice.
    #[error("the key {0} is repeated in one map; remove one of the two")]
    DuplicateKey(ShortKey),
    /// A key that JSON does not have.
    #[error("a key of a map must be text, a number, true or false; quote it")]
    KeyIsNoText,
    /// `<<` with something else than maps.
    #[error("the merge key << takes a map or a list of maps; quote the key if it is text")]
    BadMerge,
    /// `.inf` and `.nan`.
    #[error("JSON and Kubernetes have no number .inf or .nan; quote the value if it is text")]
    NotFinite,
    /// A number that does not fit.
    #[error("the number is too large; quote it if it is text")]
    NumberTooLarge,
    /// A tag that contradicts its value.
    #[error("the value does not fit its tag !!{0}; correct the value or remove the tag")]
    BadTag(&'static str),
    /// A template that is not rendered.
    #[error("this is a template ({{{{ … }}}} in line {0}), not YAML; render it first, e.g. with helm template")]
    Template(u64),
    /// A tab in the indentation.
    #[error("the indentation has a tab; use spaces")]
    Tab,
    /// A bracket or quote that is not closed.
    #[error("the {0} that is open here is not closed; close it")]
    Unclosed(&'static str),
    /// A document that goes on after its end.
    #[error("text follows the end of the document; separate documents by a line ---")]
    AfterEnd,
    /// Any other YAML.
    #[error("this is not YAML: it does not fit the text before; check indentation, colons, quotes and brackets")]
    NotYaml,
    /// An escape that is not one.
    #[error("this escape (\\) is unknown or incomplete; write \\\\ for a backslash")]
    BadEscape,
    /// JSON that lacks something.
    #[error("this is not JSON: {0} is missing here")]
    Expected(&'static str),
    /// JSON with a comma too many.
    #[error("this is not JSON: a comma comes before the closing bracket; remove it")]
    TrailingComma,
    /// A word that JSON does not have.
    #[error("this is not JSON: here begins neither text in double quotes, nor a number, true, false, null, {{ or [")]
    NoValue,
    /// A number that JSON does not have.
    #[error("this is not a JSON number; quote it if it is text")]
    BadNumber,
    /// JSON that ends early.
    #[error("the JSON text ends before its last bracket or quote is closed; is the file cut off?")]
    CutOff,
}

/// A key for messages: escaped and truncated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortKey(String);

impl ShortKey {
    const LONGEST: usize = 64;

    /// Shortens a key.
    pub(crate) fn new(key: &str) -> Self {
        let cut = key.floor_char_boundary(Self::LONGEST.min(key.len()));
        let dots = if cut < key.len() { "…" } else { "" };
        Self(format!("{:?}{dots}", &key[..cut]))
    }
}

impl fmt::Display for ShortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why reading a file ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The whole file cannot be read as text.
    #[error(transparent)]
    Fault(#[from] ManifestFault),
    /// The callback returned false.
    #[error("stopped")]
    Stopped,
}
