//! The rules as their users meet them: whole objects in, verdicts out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]
#![allow(clippy::disallowed_methods, reason = "cases are read by another reader than the product's")]

mod case;
mod cases;
mod hostile;
mod table;
