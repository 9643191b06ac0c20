//! Watches of CustomResourceDefinitions and APIServices. They collect nothing: any event triggers discovery.

use crate::plan::{Gvr, Priority, WatchDemand};
use crate::targets::target_table::CLUSTER_SCOPED_NAMESPACE;
use crate::watch::event_handler::{EventHandler, ObjectEvent};
use crate::watch::event_meta::EventMeta;
use crate::watch::request_error::RequestError;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Notify;

/// What is watched while a target waits for its kind to be served.
pub(crate) fn crd_watches() -> [WatchDemand; 2] {
    let demand = |group: &str, resource: &str| WatchDemand {
        gvr: Gvr::new(group, "v1", resource),
        priority: Priority::Normal,
        namespaced: false,
        namespaces: BTreeSet::from([CLUSTER_SCOPED_NAMESPACE.into()]),
        metadata_only: true,
    };
    [demand("apiextensions.k8s.io", "customresourcedefinitions"), demand("apiregistration.k8s.io", "apiservices")]
}

/// Notifies the planner of every change.
pub(crate) struct DiscoveryTrigger(Arc<Notify>);

impl DiscoveryTrigger {
    pub(crate) fn new(changed: Arc<Notify>) -> Self {
        Self(changed)
    }
}

impl EventHandler for DiscoveryTrigger {
    fn list_started(&mut self, _: Option<&str>) {}

    async fn object(&mut self, event: ObjectEvent, _: &EventMeta<'_>, _: &str) {
        if event != ObjectEvent::Listed {
            self.0.notify_one();
        }
    }

    async fn list_finished(&mut self, _: Option<&str>) -> bool {
        self.0.notify_one();
        true
    }

    fn resumed(&mut self) {
        self.0.notify_one();
    }

    fn failed(&mut self, _: &RequestError) {}
}
