//! The fields that all sink kinds share.

use crate::{GoDuration, LayoutSettings, SecretReference, schema};
use k8s_openapi::ByteString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fields of every sink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SinkCommon {
    /// Where to write, e.g. `https://git.example/team/inventory.git` or `s3://bucket/prefix`. Database
    /// sinks have it in their Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// How the server's certificate is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// Tests the connection when the sink, its Secret or its state changes. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_test: Option<bool>,
    /// Name of this cluster in paths, rows and events. Give each cluster its own when several write to one
    /// place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Path of a document, with `{namespace}` and `{name}` (both needed), `{cluster}`, `{generation}` and
    /// `{extension}`. Default: `inventory/{namespace}/{name}{extension}`, for object stores
    /// `inventory/{namespace}/{name}.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::document_path")]
    pub path_template: Option<String>,
    /// Least time between two exports of one inventory to this sink, e.g. `1m`, at most `24h`; `0s` = no
    /// spacing. An inventory can set another value in its reference. Default: the inventory's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_min_interval: Option<GoDuration>,
    /// Format of what is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serialization: Option<SerializationSettings>,
    /// How rows become files. Only for `git` and `gitlab`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<LayoutSettings>,
    /// Whether the destination is created when it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning: Option<ProvisioningSettings>,
    /// Further settings of the backend, at most 256, e.g. `storageClass: STANDARD_IA`. Credentials belong into a Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256, "x-kubernetes-validations" = schema::rules::options()))]
    pub options: BTreeMap<String, String>,
}

/// Format of what is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SerializationSettings {
    /// Default: `yaml` for `git` and `gitlab`, `json` for all others. `git` and `gitlab` write `json`,
    /// `yaml` and `ndjson`; `s3` and `gcs` write `json`, `parquet` and `csv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Compression of documents in object stores. Default: `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
}

/// A file format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Json,
    Yaml,
    Parquet,
    Csv,
    Ndjson,
}

impl Format {
    /// The word used in specs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        }
    }
}

/// A compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Zstd,
}

/// Whether the destination is created.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvisioningSettings {
    /// `ensure` (default) creates a missing table, collection or stream and never destroys anything;
    /// `existing` fails when it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ProvisioningMode>,
    /// Naming of the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub naming: Option<NamingSettings>,
}

/// Who creates the destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProvisioningMode {
    #[default]
    Ensure,
    Existing,
}

/// Naming of the destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamingSettings {
    /// Accepted, without effect. The same placeholders as `spec.pathTemplate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::document_path")]
    pub template: Option<String>,
}

/// How the server's certificate is checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsSettings {
    /// Accepts any server, including its SSH host key. For development only. Default: false.
    #[serde(default, skip_serializing_if = "crate::is_false")]
    pub insecure_skip_verify: bool,
    /// CA certificates to trust: PEM, base64-encoded. Takes precedence over `caSecretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::bytes")]
    pub ca_bundle: Option<ByteString>,
    /// Secret with CA certificates to trust: PEM under `ca.crt`, `ca.pem` or `tls.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretReference>,
}

impl SinkCommon {
    /// Whether the destination is created when it is missing.
    pub fn provisioning_mode(&self) -> ProvisioningMode {
        self.provisioning.as_ref().and_then(|p| p.mode).unwrap_or_default()
    }
}
