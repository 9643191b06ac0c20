//! Manifests as a source: objects from files instead of an API server, through the same intake.
//!
//! A set of files is complete at once and never changes. It is read twice and not kept: `survey` learns the namespaces
//! and how kinds live, `run` makes rows. What cannot be read is named, and as long as anything cannot, no row counts as
//! absent. `kollect-manifest` splits texts into objects, `input` and `exclude` know files.

mod cluster_kinds;
mod error;
mod exclude;
mod input;
mod object;
mod run;
mod summary;
mod survey;

pub use error::ManifestError;
pub use input::{InputOptions, Inputs};
pub use run::collect;
pub use summary::{BadInput, InputPlace, Named, NoObject, Repeated, Strange, Summary};
pub use survey::{Survey, survey};
