//! What every sink promises behind a bad network: an error that says the truth about what landed, and convergence.
//!
//! Separate from the other cases because it needs a sink that connects through the fault proxy.

use super::drive::Wanted;
use super::file_cases::{self, FileBackend, Tree};
use super::row_cases::{self, RowBackend, transient};
use super::samples::row;
use crate::fault_proxy::{TcpFault, TcpProxy, Trigger};
use anyhow::{Context as _, bail, ensure};
use kollect_export::{FileSink, Landed, RowSink, SinkError};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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

/// How long a cancelled cycle may take to come back.
const CANCEL_DEADLINE: Duration = Duration::from_secs(15);
const STALLED_FOR: Duration = Duration::from_millis(500);
/// Fewer failures than this mean that the sink went around the proxy.
const FELT_AT_LEAST: usize = 5;

fn faults() -> Vec<TcpFault> {
    let mut faults = vec![TcpFault::Latency(Duration::from_millis(30)), TcpFault::Refuse, TcpFault::Stall];
    faults.extend([0, 500, 2_000, 4_000, 8_000].map(TcpFault::ResetAfter));
    // From the handshake to past the commit, so that each answer of a cycle is lost once.
    faults.extend((1..=24).map(|step| TcpFault::DropAnswer(Trigger::ClientBytes(step * 250))));
    faults
}

/// Walks the faults over a row sink.
pub async fn row_faults(backend: &dyn ProxiedRows) -> anyhow::Result<()> {
    let proxy = TcpProxy::start(backend.address()).await?;
    let mut wanted = Wanted::new("conformance-p", "proxied");
    for n in 0..40 {
        wanted.put(row("conformance-p", "target", n, &json!({"n": n}))?);
    }
    wanted.export(&*backend.sink_at(proxy.port()).await?).await?;
    let mut felt = 0;
    for (n, fault) in (100..).zip(faults()) {
        let sink = backend.sink_at(proxy.port()).await?;
        let before = wanted.rows.clone();
        wanted.put(row("conformance-p", "target", n, &json!({"new": n}))?);
        wanted.put(row("conformance-p", "target", 1, &json!({"changed": n}))?);
        wanted.rows.pop_first();
        proxy.set(fault.clone());
        let cancel = wanted.parts.cancel_after((fault == TcpFault::Stall).then_some(STALLED_FOR));
        let outcome = tokio::time::timeout(CANCEL_DEADLINE, wanted.export(&*sink)).await;
        cancel.abort();
        wanted.parts.renew();
        proxy.heal();
        proxy.reset_all();
        let failed = outcome.with_context(|| format!("{fault:?}: the sink does not come back"))?.err();
        felt += usize::from(failed.is_some());
        if told_nothing_landed(failed.as_ref()).with_context(|| format!("{fault:?}"))? {
            let after = std::mem::replace(&mut wanted.rows, before);
            row_cases::check(backend, &wanted).await.with_context(|| format!("{fault:?}: `Landed::No` was wrong"))?;
            wanted.rows = after;
        }
        row_convergence(backend, &mut wanted, &*sink).await.with_context(|| format!("after {fault:?}"))?;
    }
    ensure!(felt >= FELT_AT_LEAST, "only {felt} faults made an export fail: does the sink use the proxy?");
    Ok(())
}

async fn row_convergence(backend: &dyn ProxiedRows, wanted: &mut Wanted, sink: &dyn RowSink) -> anyhow::Result<()> {
    for _ in 0..5 {
        match wanted.export(sink).await {
            Ok(_) => return row_cases::check(backend, wanted).await,
            Err(error) => transient(&error)?,
        }
    }
    bail!("the sink did not recover with its network")
}

/// Walks the faults over a file sink.
pub async fn file_faults(backend: &dyn ProxiedFiles) -> anyhow::Result<()> {
    let proxy = TcpProxy::start(backend.address()).await?;
    let mut tree = Tree::filled("proxied", 20);
    tree.export(&*backend.sink_at(proxy.port()).await?).await?;
    let mut felt = 0;
    for (n, fault) in (100..).zip(faults()) {
        let sink = backend.sink_at(proxy.port()).await?;
        let before = tree.files.clone();
        tree.put(&format!("proxied/new-{n}.yaml"), format!("new: {n}\n"));
        tree.put("proxied/dir-1/file-1.yaml", format!("changed: {n}\n"));
        tree.files.pop_first();
        proxy.set(fault.clone());
        let cancel = tree.parts.cancel_after((fault == TcpFault::Stall).then_some(STALLED_FOR));
        let outcome = tokio::time::timeout(CANCEL_DEADLINE, tree.export(&*sink)).await;
        cancel.abort();
        tree.parts.renew();
        proxy.heal();
        proxy.reset_all();
        let failed = outcome.with_context(|| format!("{fault:?}: the sink does not come back"))?.err();
        felt += usize::from(failed.is_some());
        if told_nothing_landed(failed.as_ref()).with_context(|| format!("{fault:?}"))? {
            let after = std::mem::replace(&mut tree.files, before);
            file_cases::check(backend, &[&tree]).await.with_context(|| format!("{fault:?}: `Landed::No` was wrong"))?;
            tree.files = after;
        }
        file_convergence(backend, &mut tree, &*sink).await.with_context(|| format!("after {fault:?}"))?;
    }
    ensure!(felt >= FELT_AT_LEAST, "only {felt} faults made an export fail: does the sink use the proxy?");
    Ok(())
}

async fn file_convergence(backend: &dyn ProxiedFiles, tree: &mut Tree, sink: &dyn FileSink) -> anyhow::Result<()> {
    for _ in 0..5 {
        match tree.export(sink).await {
            Ok(_) => return file_cases::check(backend, &[tree]).await,
            Err(error) => transient(&error)?,
        }
    }
    bail!("the sink did not recover with its network")
}

/// A failure behind a bad network is transient; whether it claims that nothing was written.
fn told_nothing_landed(failed: Option<&SinkError>) -> anyhow::Result<bool> {
    let Some(error) = failed else { return Ok(false) };
    transient(error)?;
    Ok(error.landed == Landed::No)
}
