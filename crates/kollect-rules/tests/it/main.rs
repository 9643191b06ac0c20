//! Reviews of whole objects.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "cases are read by another reader than the product's")]

mod case;
mod cases;
mod hostile;
mod table;
