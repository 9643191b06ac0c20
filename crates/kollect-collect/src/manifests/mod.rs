//! Manifests as a source: objects from files instead of an API server, through the same intake.
//!
//! A set of files is complete and never changes. It is read twice and not kept: `survey` finds namespaces and scopes of
//! kinds, `run` makes rows. While any manifest cannot be read, no row counts as absent.

mod cluster_kinds;
mod error;
mod exclude;
mod input;
mod input_file;
mod object;
mod run;
mod summary;
mod survey;

pub use error::ManifestError;
pub use input::{InputOptions, Inputs};
pub use run::collect;
pub use summary::{BadInput, CappedList, InputPlace, ManifestSummary, NonObject, NonObjectReason, RepeatedObject};
pub use survey::{Survey, survey};
