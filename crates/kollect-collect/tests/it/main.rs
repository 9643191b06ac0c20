//! Collecting against a real API server.

mod cluster;

mod memory;
mod priority;
mod rights;
mod scope;
mod watching;
