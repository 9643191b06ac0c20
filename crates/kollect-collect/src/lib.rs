//! Watches the API server for targets and turns objects into rows of the store.
//!
//! `plan` decides what to watch, `planner` applies it, `watch` implements list and watch, `dispatch` bounds what is queued,
//! `intake` makes rows. No Kubernetes object outlives its intake call; sinks are unknown here.

mod collector;
mod desired;
mod dispatch;
mod identity;
mod intake;
mod limits;
pub mod manifests;
pub mod matching;
mod namespaces;
mod object_head;
mod observe;
pub mod plan;
mod planner;
mod targets;
mod watch;

pub use collector::{CollectSettings, Collector};
pub use matching::{Matching, Rule};
pub use namespaces::facts::{NamespaceFacts, NamespaceMeta};
pub use namespaces::namespace_watch::NamespaceWatch;
pub use observe::{CollectErrorClass, CollectObserver, Unobserved};
pub use plan::Gvr;
pub use targets::spec::{PausedTarget, TargetSpec, TargetStatus, WantedNamespaces};
