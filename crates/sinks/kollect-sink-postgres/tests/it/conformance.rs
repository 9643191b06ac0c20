//! The conformance tests of every row sink.

use kollect_export::RowSink;
use kollect_net::{Guard, TlsSpec};
use kollect_sink_postgres::{ConnectionPools, PostgresConfig, PostgresSink};
use kollect_testkit::conformance::{ProxiedRows, RowBackend, StoredRow, row_faults, rows};
use kollect_testkit::servers::{Postgres, PostgresOptions};
use std::net::SocketAddr;
use std::sync::Arc;

struct Backend {
    server: Postgres,
    pools: ConnectionPools,
}

impl Backend {
    async fn start() -> Self {
        let server = Postgres::start(PostgresOptions::default()).await.unwrap();
        Self { server, pools: ConnectionPools::default() }
    }

    fn connect(&self, dsn: &str, pools: &ConnectionPools) -> anyhow::Result<Arc<dyn RowSink>> {
        let mut config = PostgresConfig::new(dsn.into(), "items");
        config.guard = Guard::open();
        config.tls = TlsSpec { ca_pem: Some(self.server.ca_pem().as_bytes().to_vec()), ..TlsSpec::default() };
        Ok(Arc::new(PostgresSink::new(config, pools)?))
    }
}

#[async_trait::async_trait]
impl RowBackend for Backend {
    async fn sink(&self) -> anyhow::Result<Arc<dyn RowSink>> {
        self.connect(&self.server.url(Postgres::DATABASE), &self.pools)
    }
    async fn sink_with_wrong_credentials(&self) -> anyhow::Result<Arc<dyn RowSink>> {
        let dsn = self.server.url(Postgres::DATABASE).replace(Postgres::PASSWORD, "wrong");
        self.connect(&dsn, &self.pools)
    }
    async fn read_back(&self) -> anyhow::Result<Vec<StoredRow>> {
        let admin = self.server.admin(Postgres::DATABASE).await?;
        let sql = "SELECT inventory_namespace, inventory_name, target_namespace, target_name, source_uid, payload::text \
                   FROM items";
        let rows = admin.query(sql, &[]).await?;
        rows.iter()
            .map(|row| {
                Ok(StoredRow {
                    inventory: (row.try_get(0)?, row.try_get(1)?),
                    target: (row.try_get(2)?, row.try_get(3)?),
                    uid: row.try_get(4)?,
                    item: serde_json::from_str(row.try_get(5)?)?,
                })
            })
            .collect()
    }
    async fn wipe(&self) -> anyhow::Result<()> {
        Ok(self.server.admin(Postgres::DATABASE).await?.batch_execute("TRUNCATE items").await?)
    }
    async fn stop(&self) -> anyhow::Result<()> {
        self.server.stop();
        Ok(())
    }
    async fn start(&self) -> anyhow::Result<()> {
        // Its future is not `Send`, which the trait wants.
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(self.server.restart()))
    }
    fn refuses_nul(&self) -> bool {
        true
    }
}

#[async_trait::async_trait]
impl ProxiedRows for Backend {
    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.server.port()).into()
    }
    async fn sink_at(&self, port: u16) -> anyhow::Result<Arc<dyn RowSink>> {
        // ConnectionPools of its own: a fault has to meet the sink from its first connection on.
        self.connect(&self.server.url_at("localhost", port, Postgres::DATABASE), &ConnectionPools::default())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sink_passes_the_conformance_tests_of_every_sink() {
    rows(&Backend::start().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sink_reports_what_landed_behind_a_bad_network() {
    row_faults(&Backend::start().await).await.unwrap();
}
