//! Manifests as people, charts and tools write them, made from a seed; and a naive reader that shares no code with the
//! product's, to compare with what the product collects.

mod generate;
mod naive;
mod write;

pub use generate::{Generated, generate};
pub use naive::{Expected, expect};
