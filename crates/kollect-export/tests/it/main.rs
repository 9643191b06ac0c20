//! The export engine end to end, against sinks in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bench;
mod carried;
mod files;
mod healing;
mod rows;
