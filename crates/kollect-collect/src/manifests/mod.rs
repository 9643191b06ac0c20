//! Manifests as a source: objects from files instead of an API server, through the same intake.
//!
//! Separate from watching because a set of files is complete at once and never changes. Objects are read twice and never
//! kept: `survey` learns the namespaces and how kinds live, `run` makes rows. `read` splits JSON and YAML into
//! objects, `input` knows files, `cluster_kinds` which kinds live outside of namespaces.

mod cluster_kinds;
mod error;
mod input;
mod object;
mod pieces;
mod read;
mod run;
mod survey;
mod yaml;

pub use error::ManifestError;
pub use input::Inputs;
pub use run::{Counts, collect};
pub use survey::{Survey, survey};
pub use yaml::{Documents, YamlDocument};
