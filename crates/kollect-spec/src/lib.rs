//! The parts of sink specs that all sinks share, as values of the export engine and the network crate.
//!
//! It must not know the name of any sink.
#![warn(missing_docs)]

mod configured;
mod file_layout;
mod options;
mod secrets;
mod tls;

pub use configured::{ConfiguredSink, SinkServer};
pub use file_layout::{LayoutContext, file_layout};
pub use options::{invalid, option_duration};
pub use secrets::{SECRET_REF, SecretRef, SecretValues, SinkSecrets, secret_refs};
pub use tls::tls;
