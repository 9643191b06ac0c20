//! The rules as their users meet them: whole objects in, verdicts out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod case;
mod cases;
mod hostile;
mod table;
