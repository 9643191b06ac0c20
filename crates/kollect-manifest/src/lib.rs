//! Reads manifests: YAML and JSON as people, `kubectl`, Helm and jq write them, within the limits of [`limits`].
//!
//! * **Files** are UTF-8 or UTF-16. **YAML** has the types of `kubectl`, which reads YAML 1.1: `yes` and `y` are true, `0644`
//!   is 420, dates are text; `.inf` and `.nan` are refused. `<<` merges maps; what a map says itself wins.
//! * **Several objects** of one file: documents, JSON values one after the other, arrays, and lists: objects without a name
//!   whose kind ends in `List`; their items get from them the kind and the apiVersion that they lack.
//! * **A key that stands twice** in one map is refused, in YAML and in JSON, at every depth.
//! * **A part that cannot be read** is a [`Fault`] with line and column, and does not hide the rest: in YAML the document; in
//!   JSON the value where it ends in its line, else what follows in the file.
//!
//! Sync and without I/O of its own. It must not know kinds, rules or clusters.

mod documents;
mod encoding;
mod fault;
mod json;
pub mod limits;
mod list;
pub mod located;
mod objects;
mod pieces;
mod scalar;
mod syntax;
mod tree;
mod values;

pub use documents::{Documents, YamlDocument};
pub use encoding::{Encoding, decode, transcode};
pub use fault::{Fault, Place, ReadError, ShortKey, What};
pub use objects::{Each, Format, Found, read_objects};
pub use values::{DocumentValue, documents, json_values, objects, parse};
