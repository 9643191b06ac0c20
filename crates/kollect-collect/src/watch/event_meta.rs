//! Metadata of a received object, read without decoding the rest of it.

use super::request_error::RequestError;
use crate::identity::uid_of;
use kollect_model::{Gvk, Uid};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    metadata: EventMeta<'a>,
}

/// Metadata that the protocol needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct EventMeta<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) resource_version: Cow<'a, str>,
    #[serde(borrow)]
    annotations: Option<InitialEventsEnd<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InitialEventsEnd<'a> {
    #[serde(borrow, rename = "k8s.io/initial-events-end")]
    ended: Option<Cow<'a, str>>,
}

impl EventMeta<'_> {
    /// Reads the metadata of an object or bookmark. Metadata of an unexpected form must not stop the watch of all
    /// objects: what can be read of it is returned, and that object fails alone. Broken JSON is an error.
    pub(crate) fn read(raw: &str) -> Result<EventMeta<'_>, RequestError> {
        serde_json::from_str::<Object<'_>>(raw)
            .map(|object| object.metadata)
            .or_else(|_| serde_json::from_str::<IgnoredAny>(raw).map(|_| Self::read_leniently(raw)))
            .map_err(|error| not_an_object(&error))
    }

    fn read_leniently(raw: &str) -> EventMeta<'static> {
        let object: Value = serde_json::from_str(raw).unwrap_or_default();
        let text = |key: &str| Cow::Owned(object["metadata"][key].as_str().unwrap_or_default().to_owned());
        EventMeta {
            uid: text("uid"),
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            annotations: None,
        }
    }

    /// The uid under which intake stores the object; `None` when neither uid nor name can be read.
    pub(crate) fn identity(&self, kind: &Gvk) -> Option<Uid> {
        let known = !self.uid.is_empty() || !self.name.is_empty();
        known.then(|| uid_of(kind, &self.namespace, &self.name, &self.uid))
    }

    /// Whether this bookmark ends a streaming list.
    pub(crate) fn ends_initial_events(&self) -> bool {
        self.annotations.as_ref().and_then(|all| all.ended.as_deref()) == Some("true")
    }
}

/// Only the place of the error: its text could quote the object.
pub(crate) fn not_an_object(error: &serde_json::Error) -> RequestError {
    RequestError::Garbled(format!("not a Kubernetes object at line {} column {}", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_streaming_list_is_recognised_among_other_annotations() {
        let end = r#"{"kind":"ConfigMap","metadata":{"resourceVersion":"12","annotations":{"k8s.io/initial-events-end":"true"}}}"#;
        assert!(EventMeta::read(end).unwrap().ends_initial_events());
        let other = r#"{"metadata":{"uid":"u\u0031","resourceVersion":"12","annotations":{"a":"true","b":"\"x"},"managedFields":[]},"data":{}}"#;
        let meta = EventMeta::read(other).unwrap();
        assert_eq!((&*meta.uid, meta.ends_initial_events()), ("u1", false));
    }

    #[test]
    fn metadata_of_another_form_does_not_end_the_watch_and_broken_json_does() {
        for odd in [r#"{"metadata":{"uid":7}}"#, r#"{"metadata":"text"}"#, r#"{"metadata":null}"#, "{}"] {
            assert_eq!(&*EventMeta::read(odd).unwrap().uid, "", "{odd}");
        }
        assert!(matches!(EventMeta::read(r#"{"metadata":{"uid":"#), Err(RequestError::Garbled(_))));
    }
}
