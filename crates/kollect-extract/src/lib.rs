//! The compiled profile: extracts the attributes of one row from one Kubernetes object, or reports why it cannot.
//!
//! Paths are compiled once, evaluated over borrowed JSON, scrubbed and written as canonical JSON. Pure: no clock, no
//! network, no `await`. It must not know clients, sinks or the source of profiles.
#![warn(missing_docs)]

mod budget;
mod cel;
mod decode;
mod error;
mod expression;
mod extractor;
mod helm;
mod jsonpath;
mod mask;
mod object;
mod predicate;
mod profile;
mod resource;
mod scrub;
mod secret;

pub use budget::{DEFAULT_MAX_ROW_BYTES, StopSwitch};
pub use error::{CompileError, ErrorClass, ExtractError};
pub use extractor::{Extractor, Scratch};
pub use jsonpath::places_of_several_matches;
pub use mask::{FieldMask, MaskPath, MaskStep};
pub use object::RedactedObject;
pub use predicate::Predicate;
pub use profile::{AttributeSource, ProfileSource, ResourceSource};
pub use resource::is_prune_path;
pub use scrub::ScrubKeys;
