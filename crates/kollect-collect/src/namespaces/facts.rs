//! What is known about the namespaces of the cluster: their labels and annotations.

use crate::object_head::{labels_of, text_of};
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Labels and annotations of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceMeta {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Reading them is forbidden: what is here is the name label, or what was read earlier.
    pub unread: bool,
    /// The namespace is being deleted.
    pub terminating: bool,
}

/// Every namespace that may be collected from.
pub type NamespaceFacts = BTreeMap<Arc<str>, Arc<NamespaceMeta>>;

/// The facts that workers match with.
#[derive(Debug, Default)]
pub(crate) struct FactsCell(RwLock<Arc<NamespaceFacts>>);

impl FactsCell {
    pub(crate) fn get(&self) -> Arc<NamespaceFacts> {
        self.0.read().clone()
    }

    pub(crate) fn replace(&self, facts: Arc<NamespaceFacts>) -> Arc<NamespaceFacts> {
        std::mem::replace(&mut *self.0.write(), facts)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamespaceObject<'a> {
    #[serde(borrow)]
    metadata: NamespaceHead<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NamespaceHead<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    deletion_timestamp: Option<&'a RawValue>,
}

impl NamespaceMeta {
    /// Reads name, labels and annotations of a Namespace. A value that is not text is left out, and the last element names
    /// the first such value.
    pub(crate) fn read(raw: &str) -> Option<(Arc<str>, Self, Option<String>)> {
        let head = serde_json::from_str::<NamespaceObject<'_>>(raw).ok()?.metadata;
        let name = text_of(head.name).ok().filter(|name| !name.is_empty())?;
        let (labels, wrong_label) = labels_of(head.labels, "metadata.labels");
        let (mut annotations, wrong_annotation) = labels_of(head.annotations, "metadata.annotations");
        // Large, and no selector uses it.
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        let terminating = head.deletion_timestamp.is_some();
        let meta = Self { labels, annotations, unread: false, terminating };
        Some((name.into(), meta, wrong_label.or(wrong_annotation)))
    }
}
