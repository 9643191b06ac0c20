//! What a follower hands over, and to whom.
//!
//! Separate so that receivers know these words and nothing of the list and watch protocol.

use crate::identity::uid_of;
use crate::request_error::RequestError;
use kollect_model::{Gvk, Uid};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

/// What an object's event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// Part of a list.
    Listed,
    Added,
    Modified,
    Deleted,
}

/// What a follower still has to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Nothing,
    /// Only these namespaces of a cluster-wide watch.
    Namespaces(BTreeSet<Arc<str>>),
    Everything,
}

/// Metadata of an object, read without decoding the rest.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Meta<'a> {
    #[serde(borrow)]
    pub(crate) uid: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) resource_version: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) annotations: Option<InitialEnd<'a>>,
}

impl Meta<'_> {
    /// The uid of the object, as the intake knows it; `None` when nothing tells the object from others.
    pub(crate) fn identity(&self, kind: &Gvk) -> Option<Uid> {
        let known = !self.uid.is_empty() || !self.name.is_empty();
        known.then(|| uid_of(kind, &self.namespace, &self.name, &self.uid))
    }

    /// What can be read of metadata of another form.
    pub(crate) fn read_leniently(raw: &str) -> Meta<'static> {
        let object: Value = serde_json::from_str(raw).unwrap_or_default();
        let text = |key: &str| Cow::Owned(object["metadata"][key].as_str().unwrap_or_default().to_owned());
        Meta {
            uid: text("uid"),
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            annotations: None,
        }
    }
}

/// The annotation that ends a streaming list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct InitialEnd<'a> {
    #[serde(borrow, rename = "k8s.io/initial-events-end")]
    pub(crate) ended: Option<Cow<'a, str>>,
}

/// Takes what a [`crate::follow::Follow`] finds.
pub(crate) trait Receiver: Send {
    /// A complete list of everything, or of one namespace, begins.
    fn list_begins(&mut self, namespace: Option<&str>);
    /// An object; slow receivers slow the reading down.
    fn object(&mut self, happened: Happened, meta: &Meta<'_>, raw: &str) -> impl Future<Output = ()> + Send;
    /// The list that began last is complete. `false` when not every object of it could be taken in: it must be listed again.
    fn list_ends(&mut self, namespace: Option<&str>) -> impl Future<Output = bool> + Send;
    /// What is to be listed beside what was.
    fn need(&mut self) -> Need;
    /// All namespaces of the last [`Receiver::need`] are listed.
    fn caught_up(&mut self);
    /// Returns when [`Receiver::need`] may have changed. Safe to drop and call again.
    fn need_changed(&mut self) -> impl Future<Output = ()> + Send;
    /// The follower is connected, without a new list.
    fn resumed(&mut self);
    /// Something failed and is tried again.
    fn trouble(&mut self, error: &RequestError);
}
