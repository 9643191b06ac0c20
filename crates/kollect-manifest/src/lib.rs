//! Reads manifests in YAML and JSON, as written by hand, `kubectl`, Helm and jq, within the limits of [`limits`].
//!
//! YAML has the types of `kubectl`, merge keys and several documents; lists are split into items that inherit kind and
//! apiVersion. A repeated key is refused at every depth. A part that cannot be read is a [`ManifestFault`]: the document in
//! YAML; in JSON the value if it ends in its line, else the rest of the file. The other parts are read.
//! Sync and without I/O of its own. It must not know kinds, rules or clusters.

mod documents;
mod encoding;
mod fault;
mod json;
mod json_stream;
mod key_set;
pub mod limits;
mod list;
pub mod located;
mod objects;
mod scalar;
mod syntax;
mod tree;
mod values;
mod weight;

pub use documents::{Documents, YamlDocument};
pub use encoding::{Encoding, decode, transcode};
pub use fault::{FaultKind, LineColumn, ManifestFault, ReadError, ShortKey};
pub use objects::{EachItem, ManifestFormat, ManifestItem, read_objects};
pub use values::{DocumentValue, documents, json_values, objects, parse};
