//! A directory as a file sink.
//!
//! It owns exactly the paths of its ownership records and follows no symbolic link below its directory. It must not
//! know rows.
#![warn(missing_docs)]

mod directory;
mod error;
mod folder;
mod sink;
mod write;

pub use sink::LocalSink;
