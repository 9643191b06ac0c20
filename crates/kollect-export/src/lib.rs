//! The export engine: when a binding exports, what it sends, and how it fails.
#![warn(missing_docs)]

mod contract;
mod kill;

pub use contract::*;
pub use kill::kill_point;
