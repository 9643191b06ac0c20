//! What a `ListWatch` reports, and what may request further lists.
//!
//! Handlers see these types and nothing of the list and watch protocol.

use super::event_meta::EventMeta;
use super::request_error::RequestError;
use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::sync::Arc;

/// How an object came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectEvent {
    /// Part of a list.
    Listed,
    Added,
    Modified,
    Deleted,
}

/// Handles what a `ListWatch` receives.
pub(crate) trait EventHandler: Send {
    /// A complete list of everything, or of one namespace, begins.
    fn list_started(&mut self, namespace: Option<&str>);
    /// An object. The stream is not read on until the future ends.
    fn object(&mut self, event: ObjectEvent, meta: &EventMeta<'_>, raw: &str) -> impl Future<Output = ()> + Send;
    /// The list that began last is complete. `false` when an object of it was not processed: it must be listed again.
    fn list_finished(&mut self, namespace: Option<&str>) -> impl Future<Output = bool> + Send;
    /// The watch is open again at its former position, without a new list.
    fn resumed(&mut self);
    /// A request failed and will be retried.
    fn failed(&mut self, error: &RequestError);
}

/// What a `ListWatch` still has to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RelistNeed {
    Nothing,
    /// Only these namespaces of a cluster-wide watch.
    Namespaces(BTreeSet<Arc<str>>),
    Everything,
}

/// Requests lists beside the initial one, because more targets or namespaces want the objects of the watch.
pub(crate) trait RelistRequests: Send {
    /// What to list.
    fn needed(&mut self) -> RelistNeed;
    /// All namespaces of the last [`RelistRequests::needed`] are listed.
    fn namespaces_listed(&mut self);
    /// Returns when [`RelistRequests::needed`] may have changed. Cancel safe.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// The initial list is enough.
pub(crate) struct NoRelists;

impl RelistRequests for NoRelists {
    fn needed(&mut self) -> RelistNeed {
        RelistNeed::Nothing
    }

    fn namespaces_listed(&mut self) {}

    async fn changed(&mut self) {
        pending::<()>().await;
    }
}
