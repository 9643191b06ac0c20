//! KollectSnapshotSink: destinations that hold files.

use crate::{FamilySinkStatus, SecretReference, SinkCommon, schema};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Git repository or object store to export to.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kollect.dev",
    version = "v1alpha1",
    kind = "KollectSnapshotSink",
    plural = "kollectsnapshotsinks",
    singular = "kollectsnapshotsink",
    shortname = "ksnap",
    category = "kollect",
    namespaced,
    status = "FamilySinkStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "KollectSnapshotSink is a Git repository or object store that KollectInventories of its namespace export files to.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".spec.endpoint", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = schema::rules::snapshot_sink()))]
pub struct KollectSnapshotSinkSpec {
    /// The backend.
    #[serde(rename = "type")]
    pub type_: SnapshotSinkType,
    #[serde(flatten)]
    pub common: SinkCommon,
    /// Settings of `type: git`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSettings>,
    /// Settings of `type: gitlab`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitlab: Option<GitlabSettings>,
    /// Settings of `type: s3` and `type: gcs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_store: Option<ObjectStoreSettings>,
    /// Reserved; no backend uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSettings>,
}

/// A backend that holds files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotSinkType {
    #[default]
    Git,
    Gitlab,
    S3,
    Gcs,
}

impl SnapshotSinkType {
    /// The word used in specs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Gitlab => "gitlab",
            Self::S3 => "s3",
            Self::Gcs => "gcs",
        }
    }

    /// Whether the backend is a Git repository.
    pub const fn is_git(self) -> bool {
        matches!(self, Self::Git | Self::Gitlab)
    }
}

/// Settings of a Git repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitSettings {
    /// Branch to write to. Default: `main`, or the branch in the endpoint's `#branch=<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::branch")]
    pub branch: Option<String>,
    /// `Commit` (default) adds commits; `ForcePush` overwrites the branch, history included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_policy: Option<PushPolicy>,
    /// How to log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<GitAuth>,
    /// Subject of commits, with `{namespace}`, `{name}`, `{cluster}`, `{generation}`, `{exportGeneration}`,
    /// `{itemCount}`, `{checksum}`, `{checksumShort}`, `{exportedAt}`, `{sink}` and `{path}`.
    /// Default: `chore({cluster}/{namespace}/{name}): export {itemCount} items @ {checksumShort}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_message: Option<String>,
    /// Body of commits, with the same placeholders. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_body: Option<String>,
    /// Trailers of commits, with the same placeholders, e.g. `Inventory: {namespace}/{name}`. Blank ones are
    /// left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commit_trailers: Vec<String>,
    /// Author and committer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<GitAuthor>,
    /// Number of commits to fetch. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::at_least_one_32")]
    pub clone_depth: Option<i32>,
    /// Removes files that Kollect wrote and no longer needs. Always on for the layouts `perResource` and
    /// `split`, which warn unless it is set. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<bool>,
    /// Accepted for compatibility; there is one implementation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<GitEngine>,
    /// Accepted for compatibility: credentials are always sent as a header. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_basic_auth: Option<bool>,
}

/// What is done to the branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PushPolicy {
    #[default]
    Commit,
    ForcePush,
}

/// Accepted for compatibility.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum GitEngine {
    #[default]
    #[serde(rename = "go-git")]
    GoGit,
    #[serde(rename = "cli")]
    Cli,
}

/// How to log in to a Git server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitAuth {
    /// `token` for https, `ssh` for ssh. Default: `token`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<GitAuthType>,
    /// Credentials; take precedence over `spec.secretRef`. Keys: `token`, or `username` and `password`; for ssh
    /// `ssh-privatekey` and `known_hosts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}

/// An authentication method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GitAuthType {
    #[default]
    Token,
    Ssh,
}

/// Author and committer of commits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitAuthor {
    /// Default: `kollect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Default: `kollect@kollect.dev`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// Settings of GitLab.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitlabSettings {
    /// Merge requests instead of direct pushes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_request: Option<GitlabMergeRequest>,
}

/// Merge requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitlabMergeRequest {
    /// `direct` (default) pushes to the branch; `merge_request` pushes to a branch of its own and opens a merge
    /// request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<GitlabMergeMode>,
    /// Branch to merge into. Needed for `merge_request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_branch: Option<String>,
    /// Prefix of the branch `<prefix>/<inventory namespace>/<inventory name>`. Default: `kollect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_prefix: Option<String>,
    /// Title of the merge request, with `{namespace}` and `{name}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title_template: Option<String>,
    /// Accepted, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_merge: Option<bool>,
}

/// How changes get into a branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GitlabMergeMode {
    #[default]
    Direct,
    MergeRequest,
}

/// Settings of an object store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStoreSettings {
    /// Older form of `serialization.format`, which takes precedence over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<ObjectFormat>,
    /// Attributes that become columns of their own in Parquet. Default: `image` and `version`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub hot_attributes: Vec<String>,
}

/// A format of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ObjectFormat {
    #[default]
    Json,
    Parquet,
}

/// Reserved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpSettings {
    /// Reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}
