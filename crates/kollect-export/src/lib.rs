//! The export engine: when a binding exports, what it sends, and how it fails.
//!
//! It must not know Kubernetes or the name of any sink. Everything that decides is pure, so that it can be simulated.
#![warn(missing_docs)]

mod backoff;
mod binding;
mod breaker;
mod cadence;
mod clock;
mod contract;
pub mod encode;
mod engine;
mod kill_point;
pub mod layout;
mod settings;
pub mod testing;

pub use backoff::backoff;
pub use binding::Binding;
pub use binding::compare::Part;
pub use binding::cursor::{Cursor, PagedDelta};
pub use binding::ending::{Ending, NotReady, Verdict};
pub use binding::file_cycle::{FileCycle, FileStep, LeftOutChange};
pub use binding::row_cycle::{RowCycle, RowStep};
pub use breaker::Breaker;
pub use cadence::Cadence;
pub use clock::{Clock, Moment};
pub use contract::*;
pub use engine::Exporter;
pub use engine::binding_spec::BindingSpec;
pub use engine::cycle_hooks::{CycleError, CycleHooks};
pub use engine::file_driver::{FileDriver, acknowledge, write_lane};
pub use engine::one_shot::export_once;
pub use engine::removal::{DataOverlap, Removal, data_overlap};
pub use engine::row_driver::RowDriver;
pub use engine::status::{BindingState, BindingStatus, Outcome, OutcomeResult, Reporter};
pub use kill_point::kill_point;
pub use settings::ExportSettings;
