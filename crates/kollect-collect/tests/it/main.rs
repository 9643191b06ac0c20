//! Collecting against a real API server.

mod cluster;
mod following;
mod rights;
