//! The validating webhook in the operator's process, asked by a real API server and by hostile callers.

mod caller;
mod cases;
mod hostile;
mod place;
mod reviews;
mod rotation;
mod trust;
