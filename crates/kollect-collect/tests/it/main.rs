//! Collecting against a real API server.

mod cluster;
mod following;
mod memory;
mod priority;
mod rights;
mod scope;
