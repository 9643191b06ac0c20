//! Watches of API definitions that tell when a kind may have become served.
//!
//! Separate because they collect nothing: any event means "look at discovery again".

use crate::plan::{Gvr, Priority, Wish};
use crate::receiver::{Happened, Meta, Need, Receiver};
use crate::request_error::RequestError;
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use tokio::sync::Notify;

/// What is watched while a target waits for its kind.
pub(crate) fn sentinels() -> [Wish; 2] {
    let wish = |group: &str, resource: &str| Wish {
        gvr: Gvr::new(group, "v1", resource),
        priority: Priority::Normal,
        namespaced: false,
        namespaces: BTreeSet::from([crate::feed::CLUSTER_SCOPED_HOME.into()]),
        metadata_only: true,
    };
    [wish("apiextensions.k8s.io", "customresourcedefinitions"), wish("apiregistration.k8s.io", "apiservices")]
}

/// Passes every change on as a ping.
pub(crate) struct Ping(Arc<Notify>);

impl Ping {
    pub(crate) fn new(changed: Arc<Notify>) -> Self {
        Self(changed)
    }
}

impl Receiver for Ping {
    fn list_begins(&mut self, _: Option<&str>) {}

    async fn object(&mut self, happened: Happened, _: &Meta<'_>, _: &str) {
        if happened != Happened::Listed {
            self.0.notify_one();
        }
    }

    async fn list_ends(&mut self, _: Option<&str>) -> bool {
        self.0.notify_one();
        true
    }

    fn need(&mut self) -> Need {
        Need::Nothing
    }

    fn caught_up(&mut self) {}

    async fn need_changed(&mut self) {
        pending::<()>().await;
    }

    fn resumed(&mut self) {
        self.0.notify_one();
    }

    fn trouble(&mut self, _: &RequestError) {}
}
