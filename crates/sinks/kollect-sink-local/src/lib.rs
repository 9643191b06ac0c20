//! A directory as a file sink: the layouts of Git, without Git.
//!
//! It owns exactly the paths of its ownership records, follows no symbolic link below its directory, and knows no rows.
#![warn(missing_docs)]

mod error;
mod folder;
mod place;
mod sink;
mod write;

pub use sink::LocalSink;
