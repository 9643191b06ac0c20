//! Limits of one file, for every reader of this crate.

/// Maps and lists inside each other. `serde_json` has the same limit, so accepted values can be parsed everywhere.
pub const MAX_DEPTH: usize = 127;
/// Bytes of one object as JSON. The API server itself takes objects of a few MiB.
pub const MAX_OBJECT_BYTES: usize = 64 << 20;
/// Keys and values of one object.
pub const MAX_NODES: usize = 2_000_000;
/// Bytes of the text of one YAML document, which may be a list of many objects.
pub const MAX_DOCUMENT_BYTES: usize = 256 << 20;
/// Documents of one file.
pub const MAX_DOCUMENTS: usize = 1_000_000;
/// Bytes that anchors and aliases of one YAML document may expand to.
pub const MAX_ALIAS_BYTES: usize = 32 << 20;
/// Keys and values that anchors and aliases of one YAML document may expand to.
pub const MAX_ALIAS_NODES: usize = 1_000_000;
