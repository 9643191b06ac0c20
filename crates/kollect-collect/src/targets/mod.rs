//! The targets that are collected: their specs, and per resource the table that watches and workers share.

pub(crate) mod failures;
pub(crate) mod resource_targets;
pub(crate) mod spec;
pub(crate) mod target_table;
pub(crate) mod watch_progress;
