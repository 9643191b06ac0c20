//! Reads manifests in YAML and JSON, as written by hand, `kubectl`, Helm and jq, within the limits of [`limits`].
//!
//! * **Files** are UTF-8 or UTF-16. **YAML** has the types of `kubectl`, which reads YAML 1.1: `yes` and `y` are true, `0644`
//!   is 420, dates are text; `.inf` and `.nan` are refused. `<<` merges maps; a map's own keys win.
//! * **Several objects** of one file: documents, JSON values one after the other, arrays, and lists: objects without a name
//!   whose kind ends in `List`; their items get from them the kind and the apiVersion that they lack.
//! * **A repeated key** in one map is refused, in YAML and in JSON, at every depth.
//! * **A part that cannot be read** is a [`ManifestFault`] with line and column; the rest is read. The part is the document
//!   in YAML, and in JSON the value if it ends in its line, else the rest of the file.
//!
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
