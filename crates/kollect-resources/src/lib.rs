//! The Kollect kinds as the operator and the command line hold them: cache, compiled profiles, resolved targets, bindings.
//!
//! It decides what specs mean, and writes nothing.
#![warn(missing_docs)]

pub mod binding;
pub mod cache;
pub mod cache_watch;
pub mod inventory;
pub mod keys;
pub mod kinds;
pub mod profile;
pub mod registry;
pub mod scopes;
pub mod secret_data;
pub mod supervise;
pub mod target;
