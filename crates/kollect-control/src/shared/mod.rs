//! What the controllers of all kinds share: conditions, status writes, events, finalizers, Secrets, the work queue.

pub mod conditions;
pub mod events;
pub mod finalizers;
pub mod namespace_ends;
pub mod report;
pub mod secrets;
pub mod status;
mod status_queue;
pub mod work_queue;
