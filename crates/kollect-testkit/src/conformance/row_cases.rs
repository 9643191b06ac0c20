//! What every row sink promises.
//!
//! Each case uses an inventory of its own, so
//! cases do not disturb each other.

use super::drive::{NeverWrite, Wanted};
use super::samples::{hostile_attributes, named_row, row};
use anyhow::{Context as _, bail, ensure};
use kollect_export::{Class, RowSink, SinkError};
use kollect_model::{Row, item_bytes};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A row as the backend has it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRow {
    /// Namespace and name of the inventory.
    pub inventory: (String, String),
    /// Namespace and name of the target.
    pub target: (String, String),
    /// The object's UID.
    pub uid: String,
    /// The whole Item, decoded.
    pub item: Value,
}

/// A backend under the suite's control.
#[async_trait::async_trait]
pub trait RowBackend: Send + Sync {
    /// A new sink object with good credentials, as after a restart of the process.
    async fn sink(&self) -> anyhow::Result<Arc<dyn RowSink>>;
    /// A new sink object whose credentials the backend refuses.
    async fn sink_with_wrong_credentials(&self) -> anyhow::Result<Arc<dyn RowSink>>;
    /// Every row of every inventory, read without the sink.
    async fn read_back(&self) -> anyhow::Result<Vec<StoredRow>>;
    /// Removes all content behind the sink's back.
    async fn wipe(&self) -> anyhow::Result<()>;
    /// Makes the backend unreachable.
    async fn stop(&self) -> anyhow::Result<()>;
    /// Makes it reachable again, with its content.
    async fn start(&self) -> anyhow::Result<()>;
    /// Whether the backend cannot store U+0000 in a text; such a row is then rejected by name.
    fn refuses_nul(&self) -> bool {
        false
    }
}

/// Runs every case. The error names the case.
pub async fn rows(backend: &dyn RowBackend) -> anyhow::Result<()> {
    first_export_difference_and_delete(backend).await.context("first export, difference, delete")?;
    inventories_are_apart(backend).await.context("inventories do not touch each other")?;
    forget(backend).await.context("forget removes one inventory")?;
    hostile_values(backend).await.context("hostile values come back unchanged")?;
    rejected(backend).await.context("a row the backend cannot take is named, and the rest goes on")?;
    no_right(backend).await.context("without the right to write nothing is written")?;
    wiped(backend).await.context("a wiped backend is repaired")?;
    wrong_credentials(backend).await.context("wrong credentials are terminal")?;
    down(backend).await.context("a backend that is down is transient")?;
    many(backend).await.context("ten thousand rows")
}

pub(super) async fn check<B: RowBackend + ?Sized>(backend: &B, wanted: &Wanted) -> anyhow::Result<()> {
    let of = wanted.parts.cycle(0);
    let inventory = (of.of.inventory.namespace.to_string(), of.of.inventory.name.to_string());
    let key = |row: &Row| (row.id.target.namespace.to_string(), row.id.target.name.to_string(), row.id.uid.to_string());
    let mut expected = BTreeMap::new();
    for row in wanted.rows.values() {
        expected.insert(key(row), serde_json::from_slice::<Value>(&item_bytes(row))?);
    }
    for stored in backend.read_back().await?.into_iter().filter(|stored| stored.inventory == inventory) {
        let key = (stored.target.0, stored.target.1, stored.uid);
        match expected.remove(&key) {
            None => bail!("{key:?} is stored twice, or should not be there"),
            Some(item) => ensure!(item == stored.item, "{key:?}: stored {} instead of {item}", stored.item),
        }
    }
    ensure!(expected.is_empty(), "{} rows are missing, first {:?}", expected.len(), expected.keys().next());
    Ok(())
}

fn filled(namespace: &str, name: &str, count: u32) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted::new(namespace, name);
    for n in 0..count {
        wanted.put(row(namespace, "target", n, &json!({"n": n, "text": "value"}))?);
    }
    Ok(wanted)
}

async fn first_export_difference_and_delete(backend: &dyn RowBackend) -> anyhow::Result<()> {
    let mut wanted = filled("conformance-a", "first", 100)?;
    let sink = backend.sink().await?;
    let (receipt, sent) = wanted.export(&*sink).await?;
    ensure!(sent == 100 && receipt.rows == 100, "{sent} sent, {} written of 100", receipt.rows);
    ensure!(receipt.bytes > 0, "no bytes counted");
    check(backend, &wanted).await?;

    let (_, sent) = wanted.export(&*sink).await?;
    ensure!(sent == 0, "{sent} changes although all was there");
    let (_, sent) = wanted.export(&*backend.sink().await?).await?;
    ensure!(sent == 0, "{sent} changes after a restart although all was there");

    wanted.put(row("conformance-a", "target", 7, &json!({"n": "changed"}))?);
    wanted.rows.pop_last();
    wanted.put(row("conformance-a", "target", 1000, &json!({"n": "new"}))?);
    let (receipt, sent) = wanted.export(&*sink).await?;
    ensure!(sent == 3 && receipt.rows == 3, "{sent} sent, {} written of 3 changes", receipt.rows);
    check(backend, &wanted).await?;
    ensure!(sink.intact(&wanted.parts.cycle(90)).await?, "an untouched backend is not intact");

    wanted.rows.clear();
    wanted.export(&*sink).await?;
    check(backend, &wanted).await
}

async fn inventories_are_apart(backend: &dyn RowBackend) -> anyhow::Result<()> {
    let sink = backend.sink().await?;
    let (mut one, mut two) = (filled("conformance-b", "one", 10)?, filled("conformance-b", "two", 10)?);
    let mut same_name_elsewhere = filled("conformance-c", "one", 10)?;
    // The same object seen by another target is another row.
    one.put(row("conformance-b", "other-target", 3, &json!({}))?);
    for wanted in [&mut one, &mut two, &mut same_name_elsewhere] {
        wanted.export(&*sink).await?;
    }
    one.rows.clear();
    one.put(row("conformance-b", "target", 3, &json!({"left": true}))?);
    one.export(&*sink).await?;
    for wanted in [&mut one, &mut two, &mut same_name_elsewhere] {
        check(backend, wanted).await?;
        ensure!(wanted.held(&*sink).await?.len() == wanted.rows.len(), "held reports rows of another inventory");
    }
    Ok(())
}

async fn forget(backend: &dyn RowBackend) -> anyhow::Result<()> {
    let sink = backend.sink().await?;
    let (mut gone, mut kept) = (filled("conformance-f", "gone", 20)?, filled("conformance-f", "kept", 20)?);
    gone.export(&*sink).await?;
    kept.export(&*sink).await?;
    sink.forget(&gone.parts.cycle(50)).await?;
    gone.rows.clear();
    check(backend, &gone).await?;
    check(backend, &kept).await?;
    // A second call finds nothing and is no error.
    sink.forget(&gone.parts.cycle(51)).await?;
    Ok(())
}

async fn hostile_values(backend: &dyn RowBackend) -> anyhow::Result<()> {
    let mut wanted = Wanted::new("conformance-h", "hostile");
    for (n, (name, attributes)) in (0..).zip(hostile_attributes()) {
        wanted.put(named_row("conformance-h", "target", n, name, &attributes)?);
    }
    let sink = backend.sink().await?;
    wanted.export(&*sink).await?;
    check(backend, &wanted).await?;
    // Again by the way for many changes, which may be another one.
    let mut many = filled("conformance-h", "hostile-many", 2_500)?;
    for (n, (name, attributes)) in (10_000..).zip(hostile_attributes()) {
        many.put(named_row("conformance-h", "target", n, name, &attributes)?);
    }
    many.export(&*sink).await?;
    check(backend, &many).await
}

async fn rejected(backend: &dyn RowBackend) -> anyhow::Result<()> {
    let sink = backend.sink().await?;
    for count in [5, 2_500] {
        let mut wanted = filled("conformance-n", &format!("nul-{count}"), count)?;
        let bad = row("conformance-n", "target", 99_999, &json!({"a": "zero\u{0}byte"}))?;
        wanted.put(bad.clone());
        let (receipt, _) = wanted.export(&*sink).await?;
        if backend.refuses_nul() {
            let named: Vec<_> = receipt.rejected.iter().map(|rejected| &rejected.id).collect();
            ensure!(named == [&bad.id], "rejected {named:?} instead of the one bad row of {count}");
            ensure!(
                receipt.rejected.iter().all(|rejected| !rejected.why.contains("zero")),
                "the reason shows the value"
            );
            wanted.rows.remove(&bad.id);
        }
        check(backend, &wanted).await?;
    }
    Ok(())
}

async fn no_right(backend: &dyn RowBackend) -> anyhow::Result<()> {
    let mut wanted = filled("conformance-r", "right", 3)?;
    let sink = backend.sink().await?;
    wanted.export(&*sink).await?;
    let mut deposed = filled("conformance-r", "right", 3)?;
    deposed.put(row("conformance-r", "target", 0, &json!({"written": "by the deposed"}))?);
    deposed.parts =
        super::cycle_parts(kollect_export::Family::Database, "conformance-r", "right").with_right(NeverWrite);
    let error = deposed.export(&*sink).await.err().context("a process without the right to write wrote")?;
    transient(&error)?;
    let forgot = sink.forget(&deposed.parts.cycle(80)).await;
    transient(&forgot.err().context("a process without the right to write forgot")?)?;
    check(backend, &wanted).await
}

async fn wiped(backend: &dyn RowBackend) -> anyhow::Result<()> {
    let mut wanted = filled("conformance-w", "wiped", 50)?;
    let sink = backend.sink().await?;
    wanted.export(&*sink).await?;
    ensure!(sink.intact(&wanted.parts.cycle(60)).await?, "an untouched backend is not intact");
    backend.wipe().await?;
    ensure!(!sink.intact(&wanted.parts.cycle(61)).await?, "a wiped backend passes for intact");
    wanted.export(&*sink).await?;
    check(backend, &wanted).await?;
    ensure!(sink.intact(&wanted.parts.cycle(62)).await?, "a repaired backend is not intact");
    Ok(())
}

async fn wrong_credentials(backend: &dyn RowBackend) -> anyhow::Result<()> {
    let mut wanted = filled("conformance-x", "credentials", 3)?;
    let sink = backend.sink_with_wrong_credentials().await?;
    let error = wanted.export(&*sink).await.err().context("the backend let wrong credentials in")?;
    ensure!(error.class == Class::Terminal, "{error} is {:?}", error.class);
    let error = sink.probe(&tokio_util::sync::CancellationToken::new()).await.err().context("the probe passed")?;
    ensure!(error.class == Class::Terminal, "the probe's {error} is {:?}", error.class);
    Ok(())
}

async fn down(backend: &dyn RowBackend) -> anyhow::Result<()> {
    let mut wanted = filled("conformance-d", "down", 30)?;
    let sink = backend.sink().await?;
    wanted.export(&*sink).await?;
    backend.stop().await?;
    wanted.put(row("conformance-d", "target", 31, &json!({"while": "down"}))?);
    let failed = wanted.export(&*sink).await;
    let probed = sink.probe(&tokio_util::sync::CancellationToken::new()).await;
    backend.start().await?;
    transient(&failed.err().context("an export into a stopped backend succeeded")?)?;
    transient(&probed.err().context("a probe of a stopped backend succeeded")?)?;
    // Pooled connections may be dead: the next attempts may fail, but only as transient.
    for _ in 0..5 {
        match wanted.export(&*sink).await {
            Ok(_) => return check(backend, &wanted).await,
            Err(error) => transient(&error)?,
        }
    }
    bail!("the sink did not recover with its backend")
}

async fn many(backend: &dyn RowBackend) -> anyhow::Result<()> {
    let mut wanted = filled("conformance-m", "many", 10_000)?;
    let sink = backend.sink().await?;
    let (receipt, _) = wanted.export(&*sink).await?;
    ensure!(receipt.rows == 10_000, "{} rows written of 10,000", receipt.rows);
    check(backend, &wanted).await?;
    let (_, sent) = wanted.export(&*backend.sink().await?).await?;
    ensure!(sent == 0, "{sent} changes although all was there");
    wanted.rows.clear();
    wanted.export(&*sink).await?;
    check(backend, &wanted).await
}

pub(super) fn transient(error: &SinkError) -> anyhow::Result<()> {
    ensure!(matches!(error.class, Class::Transient { .. }), "{error} is {:?}, not transient", error.class);
    Ok(())
}
