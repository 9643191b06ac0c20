//! The store as its readers see it.

mod reader;
mod threads;
mod views;
