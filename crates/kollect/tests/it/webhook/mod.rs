//! The validating webhook in the operator's process, asked by a real API server and by hostile callers.

mod caller;
mod cases;
mod hostile;
mod reviews;
mod rotation;
mod trust;
mod webhook_cluster;
