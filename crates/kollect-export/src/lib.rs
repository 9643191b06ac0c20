//! The export engine: when a binding exports, what it sends, and how it fails.
//!
//! Separate so that sinks depend on a contract and not on each other, and so that everything that decides is pure and
//! can be simulated. It must not know Kubernetes or the name of any sink.
#![warn(missing_docs)]

mod backoff;
mod binding;
mod binding_carry;
mod binding_compare;
mod binding_files;
mod binding_rows;
mod breaker;
mod cadence;
mod clock;
mod contract;
pub mod encode;
mod exporter;
mod exporter_slot;
pub mod faulty;
mod kill;
mod lane;
pub mod layout;
pub mod memory;
mod memory_files;
mod once;
mod removal;
mod round;
mod runner;
mod runner_files;
mod runner_rows;
mod runner_watch;
mod settings;
mod sink_error;
mod status;

pub use backoff::backoff;
pub use binding::{Binding, Ending, NotReady, Verdict};
pub use binding_compare::Part;
pub use binding_files::{FileCycle, FileStep, LeftOutChange};
pub use binding_rows::{Cursor, Route, RowCycle, RowStep};
pub use breaker::Breaker;
pub use cadence::Cadence;
pub use clock::{Clock, Moment};
pub use contract::*;
pub use exporter::Exporter;
pub use kill::kill_point;
pub use once::export_once;
pub use removal::{Shared, shared};
pub(crate) use round::Round;
pub use settings::ExportSettings;
pub use sink_error::{Class, DependsOn, Landed, SinkError};
pub use status::{BindingSpec, BindingState, BindingStatus, Outcome, OutcomeResult, Removal, Reporter};
