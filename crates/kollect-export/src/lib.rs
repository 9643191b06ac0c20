//! The export engine: when a binding exports, what it sends, and how it fails.
#![warn(missing_docs)]

mod contract;
pub mod encode;
mod kill;
pub mod layout;

pub use contract::*;
pub use kill::kill_point;
