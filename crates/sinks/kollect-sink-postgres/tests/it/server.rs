//! One server for all tests of this binary, a database per test, and short words for rows and cycles.

use kollect_export::{
    AlwaysWrite, BindingId, Cycle, Family, HeldRow, InventoryKey, Progress, ReadBack, Receipt, RowBatch, RowSink,
    SinkError, SinkKey, WriteRight,
};
use kollect_model::{Cause, Change, Deleted, Gvk, ObjectKey, Row, RowId, TargetKey, TargetScope, Uid};
use kollect_net::{Guard, TlsSpec};
use kollect_sink_postgres::{ConnectionPools, PostgresConfig, PostgresSink};
use kollect_testkit::servers::{Postgres, PostgresOptions};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

pub(crate) async fn server() -> &'static Postgres {
    static SERVER: OnceCell<Postgres> = OnceCell::const_new();
    SERVER.get_or_init(async || Postgres::start(PostgresOptions::default()).await.unwrap()).await
}

/// A database of one test.
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) admin: Client,
}

impl Database {
    pub(crate) async fn new(name: &str) -> Self {
        let server = server().await;
        server.create_database(name).await.unwrap();
        let admin = server.admin(name).await.unwrap();
        admin.batch_execute(&format!("GRANT ALL ON SCHEMA public TO {}", Postgres::USER)).await.unwrap();
        Self { name: name.into(), admin }
    }

    pub(crate) async fn config(&self) -> PostgresConfig {
        let server = server().await;
        let mut config = PostgresConfig::new(server.url(&self.name).into(), "items");
        config.cluster = "prod".into();
        config.guard = Guard::open();
        config.tls = TlsSpec { ca_pem: Some(server.ca_pem().as_bytes().to_vec()), ..TlsSpec::default() };
        config.connect_timeout = Duration::from_secs(5);
        config
    }

    pub(crate) async fn sink(&self) -> PostgresSink {
        PostgresSink::new(self.config().await, &ConnectionPools::default()).unwrap()
    }

    pub(crate) async fn count(&self, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM items WHERE {condition}");
        self.admin.query_one(&sql, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.admin.batch_execute(sql).await.unwrap();
    }
}

pub(crate) fn binding(namespace: &str) -> BindingId {
    BindingId {
        inventory: InventoryKey { namespace: namespace.into(), name: "inv".into() },
        sink: SinkKey { family: Family::Database, namespace: namespace.into(), name: "pg".into() },
    }
}

pub(crate) fn row(uid: &str, object: (&str, &str), attributes: &str) -> Arc<Row> {
    row_of(&TargetKey::namespaced("shop", "workloads"), uid, object, attributes)
}

pub(crate) fn row_of(target: &TargetKey, uid: &str, object: (&str, &str), attributes: &str) -> Arc<Row> {
    let id = RowId { target: Arc::new(target.clone()), uid: Uid::parse(uid) };
    let gvk = Arc::new(Gvk::new("apps", "v1", "Deployment"));
    let object = ObjectKey { gvk, namespace: object.0.into(), name: object.1.into() };
    Arc::new(Row::new(id, object, RawValue::from_string(attributes.to_owned()).unwrap()))
}

pub(crate) fn cluster_target(namespace: &str, name: &str) -> TargetKey {
    TargetKey { scope: TargetScope::Cluster, ..TargetKey::namespaced(namespace, name) }
}

pub(crate) fn upserts(rows: &[Arc<Row>]) -> Vec<Change> {
    rows.iter().cloned().map(Change::Upsert).collect()
}

pub(crate) fn delete(row: &Row) -> Change {
    Change::Delete(Deleted { id: row.id.clone(), object: None, cause: Cause::Observed })
}

/// Runs cycles of one binding against a sink.
pub(crate) struct Run<'a> {
    pub(crate) sink: &'a PostgresSink,
    pub(crate) of: BindingId,
    pub(crate) fence: u64,
    pub(crate) right: &'a dyn WriteRight,
    pub(crate) cancel: CancellationToken,
}

impl<'a> Run<'a> {
    pub(crate) fn of(sink: &'a PostgresSink) -> Self {
        Self { sink, of: binding("shop"), fence: 1, right: &AlwaysWrite, cancel: CancellationToken::new() }
    }

    pub(crate) fn fence(self, fence: u64) -> Self {
        Self { fence, ..self }
    }

    fn cycle<'c>(&'c self, progress: &'c Progress) -> Cycle<'c> {
        Cycle { of: &self.of, number: 7, fence: self.fence, cancel: &self.cancel, progress, right: self.right }
    }

    pub(crate) async fn apply(&self, changes: Vec<Change>) -> Result<Receipt, SinkError> {
        let progress = Progress::default();
        self.sink.apply(&self.cycle(&progress), RowBatch { changes, bracket: None }).await
    }

    pub(crate) async fn held(&self) -> Result<Vec<HeldRow>, SinkError> {
        let progress = Progress::default();
        let mut held = Vec::new();
        let knowledge = self.sink.held(&self.cycle(&progress), &mut |row| held.push(row)).await?;
        assert_eq!(knowledge, ReadBack::Complete);
        held.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(held)
    }

    pub(crate) async fn intact(&self) -> Result<bool, SinkError> {
        self.sink.intact(&self.cycle(&Progress::default())).await
    }

    pub(crate) async fn forget(&self) -> Result<Receipt, SinkError> {
        self.sink.forget(&self.cycle(&Progress::default())).await
    }
}
