//! What every sink promises behind a bad network: an error that is true about what landed, and convergence.
//!
//! The sink connects through the fault proxy. Where the network breaks is decided in `fault_walk`.

use super::drive::{CycleParts, Wanted};
use super::fault_walk::{FIRST, Walked, walk};
use super::file_cases::{self, FileBackend, Tree};
use super::row_cases::{self, RowBackend};
use super::samples::row;
use anyhow::Context as _;
use kollect_export::{FileSink, RowSink, SinkError};
use kollect_model::{Row, RowId};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// A row backend that can be reached through a proxy.
#[async_trait::async_trait]
pub trait ProxiedRows: RowBackend {
    /// Where the backend listens.
    fn address(&self) -> SocketAddr;
    /// A new sink object that connects to this loopback port instead.
    async fn sink_at(&self, port: u16) -> anyhow::Result<Arc<dyn RowSink>>;
}

/// A file backend that can be reached through a proxy.
#[async_trait::async_trait]
pub trait ProxiedFiles: FileBackend {
    /// Where the backend listens.
    fn address(&self) -> SocketAddr;
    /// A new sink object that connects to this loopback port instead.
    async fn sink_at(&self, port: u16) -> anyhow::Result<Arc<dyn FileSink>>;
}

/// Walks the faults over a row sink.
pub async fn row_faults(backend: &dyn ProxiedRows) -> anyhow::Result<()> {
    let mut wanted = Wanted::new(NAMESPACE, "proxied");
    for n in FIRST - 40..FIRST {
        wanted.put(row(NAMESPACE, "target", n, &json!({"new": n}))?);
    }
    let sink = backend.sink().await?;
    walk(&mut Rows { backend, sink, before: wanted.rows.clone(), wanted }).await
}

/// Walks the faults over a file sink.
pub async fn file_faults(backend: &dyn ProxiedFiles) -> anyhow::Result<()> {
    let mut tree = Tree::new("proxied");
    for n in FIRST - 20..FIRST {
        tree.put(&path(n), format!("new: {n}\n"));
    }
    let sink = backend.sink().await?;
    walk(&mut Files { backend, sink, before: tree.files.clone(), tree }).await
}

const NAMESPACE: &str = "conformance-p";

struct Rows<'a> {
    backend: &'a dyn ProxiedRows,
    sink: Arc<dyn RowSink>,
    wanted: Wanted,
    before: BTreeMap<RowId, Arc<Row>>,
}

#[async_trait::async_trait]
impl Walked for Rows<'_> {
    fn address(&self) -> SocketAddr {
        self.backend.address()
    }

    async fn connect(&mut self, port: u16) -> anyhow::Result<()> {
        self.sink = self.backend.sink_at(port).await?;
        Ok(())
    }

    fn change(&mut self, n: u32) -> anyhow::Result<()> {
        self.before = self.wanted.rows.clone();
        self.wanted.rows.pop_first().context("there is a row to delete")?;
        self.wanted.put(row(NAMESPACE, "target", n - 1, &json!({"changed": n}))?);
        self.wanted.put(row(NAMESPACE, "target", n, &json!({"new": n}))?);
        Ok(())
    }

    fn parts(&mut self) -> &mut CycleParts {
        &mut self.wanted.parts
    }

    async fn export(&mut self) -> Result<(), SinkError> {
        self.wanted.export(&*self.sink).await.map(drop)
    }

    async fn check(&mut self) -> anyhow::Result<()> {
        row_cases::check(self.backend, &self.wanted).await
    }

    fn swap_with_before(&mut self) {
        std::mem::swap(&mut self.before, &mut self.wanted.rows);
    }
}

fn path(n: u32) -> String {
    format!("proxied/file-{n:05}.yaml")
}

struct Files<'a> {
    backend: &'a dyn ProxiedFiles,
    sink: Arc<dyn FileSink>,
    tree: Tree,
    before: BTreeMap<String, Vec<u8>>,
}

#[async_trait::async_trait]
impl Walked for Files<'_> {
    fn address(&self) -> SocketAddr {
        self.backend.address()
    }

    async fn connect(&mut self, port: u16) -> anyhow::Result<()> {
        self.sink = self.backend.sink_at(port).await?;
        Ok(())
    }

    fn change(&mut self, n: u32) -> anyhow::Result<()> {
        self.before = self.tree.files.clone();
        self.tree.files.pop_first().context("there is a file to delete")?;
        self.tree.put(&path(n - 1), format!("changed: {n}\n"));
        self.tree.put(&path(n), format!("new: {n}\n"));
        Ok(())
    }

    fn parts(&mut self) -> &mut CycleParts {
        &mut self.tree.parts
    }

    async fn export(&mut self) -> Result<(), SinkError> {
        self.tree.export(&*self.sink).await.map(drop)
    }

    async fn check(&mut self) -> anyhow::Result<()> {
        file_cases::check(self.backend, &[&self.tree]).await
    }

    fn swap_with_before(&mut self) {
        std::mem::swap(&mut self.before, &mut self.tree.files);
    }
}
