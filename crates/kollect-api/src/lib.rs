//! The custom resources of the group `kollect.dev/v1alpha1`: one file per kind, and files for shared blocks.
//!
//! Doc comments of fields become descriptions in the CRDs, so they are written for users. The crate must not call an API
//! server or validate more than the schema does.

// Each printer column is one attribute; columns of the same type repeat its parts.
#![allow(clippy::duplicated_attributes)]

mod cluster_inventory;
mod cluster_scope;
mod cluster_target;
mod connection_test;
mod database_sink;
mod duration;
mod event_sink;
mod gvk;
mod inventory;
mod layout;
pub mod names;
mod profile;
mod reference;
mod schema;
mod scope;
mod sink;
mod sink_status;
mod snapshot_sink;
mod target;

pub use cluster_inventory::{
    Dedupe, KollectClusterInventory, KollectClusterInventorySpec, KollectClusterInventoryStatus, NamespaceShard,
};
pub use cluster_scope::{KollectClusterScope, KollectClusterScopeSpec};
pub use cluster_target::{KollectClusterTarget, KollectClusterTargetSpec, KollectClusterTargetStatus};
pub use connection_test::{
    ConnectionTestSinkRef, KollectConnectionTest, KollectConnectionTestSpec, KollectConnectionTestStatus,
};
pub use database_sink::{
    BigQuerySettings, DatabaseSinkType, KollectDatabaseSink, KollectDatabaseSinkSpec, MongoDbSettings, PostgresSettings,
};
pub use duration::{DurationError, GoDuration, go_duration_text};
pub use event_sink::{
    EventContent, EventSinkType, KafkaSettings, KollectEventSink, KollectEventSinkSpec, NatsSettings,
};
pub use gvk::GroupVersionKind;
pub use inventory::{
    DeletionPolicy, HttpEndpoint, KollectInventory, KollectInventorySpec, KollectInventoryStatus, Partitioning,
    SinkExportStatus,
};
pub use layout::{FileNaming, GroupInPath, LayoutContent, LayoutIndex, LayoutMode, LayoutSettings};
pub use profile::{
    Attribute, ExportInclude, ExportMode, ExportSettings, KollectProfile, KollectProfileSpec, KollectProfileStatus,
    ProfileMetric, PruneSettings,
};
pub use reference::{NamespacedReference, SecretReference, SinkFamily, SinkRef};
pub use scope::{KollectScope, KollectScopeSpec, KollectScopeStatus, SecretExtraction};
pub use sink::{
    Compression, Format, NamingSettings, ProvisioningMode, ProvisioningSettings, SerializationSettings, SinkCommon,
    TlsSettings,
};
pub use sink_status::{
    FamilySinkStatus, GitPreview, KafkaPreview, LayoutPreview, MongoDbPreview, PostgresPreview, SinkPreview,
};
pub use snapshot_sink::{
    GitAuth, GitAuthType, GitAuthor, GitEngine, GitSettings, GitlabMergeMode, GitlabMergeRequest, GitlabSettings,
    HttpSettings, KollectSnapshotSink, KollectSnapshotSinkSpec, ObjectFormat, ObjectStoreSettings, PushPolicy,
    SnapshotSinkType,
};
pub use target::{KollectTarget, KollectTargetSpec, KollectTargetStatus, ResourceRule, WatchMode};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// API group of every kind.
pub const GROUP: &str = "kollect.dev";
/// API version of every kind.
pub const VERSION: &str = "v1alpha1";

/// A kind and how its CRD is made.
type Maker = (&'static str, fn() -> CustomResourceDefinition);

/// In the order in which users meet the kinds.
const MAKERS: [Maker; 11] = [
    ("KollectProfile", KollectProfile::crd),
    ("KollectTarget", KollectTarget::crd),
    ("KollectInventory", KollectInventory::crd),
    ("KollectSnapshotSink", KollectSnapshotSink::crd),
    ("KollectDatabaseSink", KollectDatabaseSink::crd),
    ("KollectEventSink", KollectEventSink::crd),
    ("KollectConnectionTest", KollectConnectionTest::crd),
    ("KollectScope", KollectScope::crd),
    ("KollectClusterScope", KollectClusterScope::crd),
    ("KollectClusterTarget", KollectClusterTarget::crd),
    ("KollectClusterInventory", KollectClusterInventory::crd),
];

/// Every kind, in the order in which users meet them.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    MAKERS.iter().map(|(kind, _)| *kind)
}

/// The CRD of one kind; making it takes a few milliseconds.
pub fn crd_of(kind: &str) -> Option<CustomResourceDefinition> {
    MAKERS.iter().find(|(name, _)| *name == kind).map(|(_, make)| schema::finish(make()))
}

/// The CRDs to install, in the order in which users meet the kinds.
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    MAKERS.iter().map(|(_, make)| schema::finish(make())).collect()
}

/// For `skip_serializing_if`: keeps a false flag out of the JSON and out of the schema's defaults.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
