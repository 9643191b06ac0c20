//! KollectDatabaseSink: destinations that can be queried row by row.

use crate::{FamilySinkStatus, SecretReference, SinkCommon, schema};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A database to export to.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kollect.dev",
    version = "v1alpha1",
    kind = "KollectDatabaseSink",
    plural = "kollectdatabasesinks",
    singular = "kollectdatabasesink",
    shortname = "kdb",
    category = "kollect",
    namespaced,
    status = "FamilySinkStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "KollectDatabaseSink is a database that KollectInventories of its namespace export rows to.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.cluster", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = schema::rules::database_sink()))]
pub struct KollectDatabaseSinkSpec {
    /// The backend. The block of the same name must be set, the others must not.
    #[serde(rename = "type")]
    pub type_: DatabaseSinkType,
    #[serde(flatten)]
    pub common: SinkCommon,
    /// Settings of `type: postgres`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresSettings>,
    /// Settings of `type: bigquery`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bigquery: Option<BigQuerySettings>,
    /// Settings of `type: mongodb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mongodb: Option<MongoDbSettings>,
}

/// A database backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseSinkType {
    #[default]
    Postgres,
    Bigquery,
    Mongodb,
}

impl DatabaseSinkType {
    /// The word used in specs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Bigquery => "bigquery",
            Self::Mongodb => "mongodb",
        }
    }
}

/// Settings of PostgreSQL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgresSettings {
    /// Secret with the connection string under `dsn`, `url`, `connectionString` or `DATABASE_URL`.
    pub database_ref: SecretReference,
    /// Table to write to, without its schema.
    #[schemars(schema_with = "schema::word")]
    pub table: String,
    /// Schema of the table; it must exist. Default: `public`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
}

/// Settings of BigQuery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BigQuerySettings {
    /// Project id.
    #[schemars(schema_with = "schema::word")]
    pub project: String,
    /// Dataset id; it must exist.
    #[schemars(schema_with = "schema::word")]
    pub dataset: String,
    /// Table to write to.
    #[schemars(schema_with = "schema::word")]
    pub table: String,
    /// Location of jobs, e.g. `EU`. Default: the dataset's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Secret with a service account key under `credentials.json`. Default: application default credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}

/// Settings of MongoDB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MongoDbSettings {
    /// Secret with the connection string under `uri`, `url`, `connectionString` or `MONGODB_URI`.
    pub database_ref: SecretReference,
    /// Database to write to.
    #[schemars(schema_with = "schema::word")]
    pub database: String,
    /// Collection to write to.
    #[schemars(schema_with = "schema::word")]
    pub collection: String,
}
