//! What the control loops of all kinds share: conditions, status writes, events, finalizers, Secrets.

pub mod conditions;
pub mod dirty;
pub mod events;
pub mod finalizers;
pub mod secrets;
pub mod status;
mod status_queue;
pub mod supervise;
