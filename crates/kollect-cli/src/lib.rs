//! The commands of `kollect` that run to an end: one folder per command.
#![warn(missing_docs)]

pub mod cluster;
pub mod collect;
pub mod config;
pub mod diff;
pub mod documents;
pub mod eval;
pub mod init;
pub mod shell;
pub mod source_map;
pub mod terminal;
pub mod validate;
