//! A directory of files as a sink.
#![warn(missing_docs)]
