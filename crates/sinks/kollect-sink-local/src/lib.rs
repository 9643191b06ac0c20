//! A directory as a file sink: the layouts of Git, without Git.
//!
//! Separate from the other sinks like each of them. It owns exactly the paths of its ownership records, never writes
//! through a symbolic link, and knows no rows.
#![warn(missing_docs)]

mod error;
mod place;
mod sink;
mod write;

pub use sink::LocalSink;
