//! Group, version and kind as specs write them.

use crate::schema;
use kollect_model::Gvk;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A Kubernetes resource kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupVersionKind {
    /// API group, e.g. `apps`. Leave empty for the core group (Pod, ConfigMap, Service …).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// API version, e.g. `v1`.
    #[schemars(schema_with = "schema::word")]
    pub version: String,
    /// Kind in singular CamelCase, e.g. `Deployment`.
    #[schemars(schema_with = "schema::word")]
    pub kind: String,
}

impl From<&GroupVersionKind> for Gvk {
    fn from(api: &GroupVersionKind) -> Self {
        Self::new(&api.group, &api.version, &api.kind)
    }
}

impl From<&Gvk> for GroupVersionKind {
    fn from(gvk: &Gvk) -> Self {
        Self { group: gvk.group.to_string(), version: gvk.version.to_string(), kind: gvk.kind.to_string() }
    }
}

impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Gvk::from(self).fmt(f)
    }
}
