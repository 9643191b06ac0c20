//! The export engine: when a binding exports, what it sends, and how it fails.
//!
//! Separate so that sinks depend on a contract and not on each other, and so that everything that decides is pure and
//! can be simulated. It must not know Kubernetes or the name of any sink.
#![warn(missing_docs)]

mod backoff;
mod binding;
mod binding_compare;
mod binding_files;
mod binding_rows;
mod breaker;
mod cadence;
mod clock;
mod contract;
pub mod encode;
pub mod faulty;
mod kill;
pub mod layout;
pub mod memory;
mod settings;
mod status;

pub use backoff::backoff;
pub use binding::{Binding, NotReady};
pub use binding_compare::Part;
pub use binding_files::{FileCycle, FileStep};
pub use binding_rows::{Cursor, Route, RowCycle, RowStep};
pub use breaker::Breaker;
pub use cadence::Cadence;
pub use clock::{Clock, Moment};
pub use contract::*;
pub use kill::kill_point;
pub use settings::ExportSettings;
pub use status::{
    BindingSpec, BindingState, BindingStatus, Outcome, OutcomeResult, Removal, Reporter,
};
