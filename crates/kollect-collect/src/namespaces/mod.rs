//! Labels and annotations of the namespaces that may be collected from, and the watch that keeps them up to date.

pub(crate) mod facts;
pub(crate) mod namespace_watch;
