//! The store as its readers see it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod reader;
mod threads;
mod views;
