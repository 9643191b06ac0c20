//! Collects: watches the API server for targets and turns objects into rows of the store.
//!
//! `plan` decides what to watch, `planner` applies it, `follow` speaks list and watch, `dispatch` bounds what waits,
//! `intake` makes rows. Nothing here keeps a Kubernetes object, and nothing knows sinks.

mod access;
mod backoff;
mod collector;
mod discovery;
mod dispatch;
mod failures;
mod feed;
mod follow;
mod head;
mod identity;
mod intake;
pub mod manifests;
pub mod matching;
mod namespaces;
mod observe;
pub mod plan;
mod planner;
mod priorities;
mod reader;
mod receiver;
mod request;
mod request_error;
mod sentinel;
mod store_limit;
mod target;
mod wire;

pub use collector::{CollectSettings, Collector};
pub use matching::{Matching, Rule};
pub use namespaces::{NamespaceFacts, NamespaceMeta, NamespaceWatch};
pub use observe::{CollectErrorClass, CollectObserver, Unobserved};
pub use plan::Gvr;
pub use target::{Held, TargetSpec, TargetStatus, WantedNamespaces};
