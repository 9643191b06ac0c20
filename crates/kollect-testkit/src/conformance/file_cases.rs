//! What every file sink promises.
//!
//! Files have paths, owners and neighbours in a lane, which rows have not.

use super::drive::{CycleParts, NeverWrite, cycle_parts};
use super::row_cases::transient;
use anyhow::{Context as _, bail, ensure};
use kollect_export::{Class, Family, FileBatch, FileChange, FileSink, HeldFile, Receipt, SinkError};
use kollect_model::Digest;
use kollect_model::Reason;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A backend under the suite's control.
#[async_trait::async_trait]
pub trait FileBackend: Send + Sync {
    /// A new sink object with good credentials, as after a restart of the process.
    async fn sink(&self) -> anyhow::Result<Arc<dyn FileSink>>;
    /// A new sink object whose credentials the backend refuses; `None` where there are no credentials.
    async fn sink_with_wrong_credentials(&self) -> anyhow::Result<Option<Arc<dyn FileSink>>>;
    /// Every file by path, read without the sink, ownership records (`.kollect/…`) included.
    async fn read_back(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>>;
    /// Name of the newest state (commit), where the backend has one.
    async fn revision(&self) -> anyhow::Result<Option<String>>;
    /// Writes a file as another writer.
    async fn plant(&self, path: &str, content: &str) -> anyhow::Result<()>;
    /// Removes all content behind the sink's back.
    async fn wipe(&self) -> anyhow::Result<()>;
    /// Makes the backend unreachable.
    async fn stop(&self) -> anyhow::Result<()>;
    /// Makes it reachable again, with its content.
    async fn start(&self) -> anyhow::Result<()>;
}

/// Runs every case. The error names the case.
pub async fn files(backend: &dyn FileBackend) -> anyhow::Result<()> {
    first_write_difference_and_delete(backend).await.context("first write, difference, delete")?;
    neighbours(backend).await.context("bindings of one lane go together and do not touch each other")?;
    foreign_files(backend).await.context("a foreign file is never overwritten")?;
    forget(backend).await.context("forget removes one binding's files and record")?;
    contents_and_paths(backend).await.context("contents and paths come back unchanged")?;
    no_right(backend).await.context("without the right to write nothing is written")?;
    wiped(backend).await.context("a wiped backend is repaired")?;
    wrong_credentials(backend).await.context("wrong credentials are terminal")?;
    down(backend).await.context("a backend that is down is transient")?;
    many(backend).await.context("three thousand files")
}

/// Files that should be in the backend, and the way to get them there.
pub(super) struct Tree {
    pub(super) parts: CycleParts,
    record: String,
    pub(super) files: BTreeMap<String, Vec<u8>>,
    number: u64,
}

impl Tree {
    pub(super) fn new(name: &str) -> Self {
        Self {
            parts: cycle_parts(Family::Snapshot, "conformance", name),
            record: format!(".kollect/test/conformance/{name}/sink"),
            files: BTreeMap::new(),
            number: 0,
        }
    }

    fn filled(name: &str, count: u32) -> Self {
        let mut tree = Self::new(name);
        for n in 0..count {
            tree.put(&format!("{name}/dir-{}/file-{n}.yaml", n % 7), format!("n: {n}\n"));
        }
        tree
    }

    pub(super) fn put(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.files.insert(path.to_owned(), content.into());
    }

    async fn batch(&mut self, sink: &dyn FileSink) -> Result<FileBatch, SinkError> {
        self.number += 1;
        let mut held = BTreeMap::new();
        let mut each = |file: HeldFile| {
            held.insert(file.path.to_string(), file.digest);
        };
        sink.held(&self.parts.cycle(self.number), &self.record, &mut each).await?;
        let deletes = held.keys().filter(|path| !self.files.contains_key(*path));
        let mut changes: Vec<_> = deletes.map(|path| FileChange::Delete { path: path.as_str().into() }).collect();
        for (path, content) in &self.files {
            let digest = Digest::of(content);
            if held.get(path) != Some(&Some(digest)) {
                changes.push(FileChange::Put { path: path.as_str().into(), digest, body: Arc::new(content.clone()) });
            }
        }
        let (author_name, author_email) = ("Kollect".to_owned(), "kollect@example.org".to_owned());
        let message = format!("cycle {} of {}\n", self.number, self.record);
        Ok(FileBatch { changes, record: self.record.clone(), message, author_name, author_email })
    }

    /// Compares and sends the difference. Returns the receipt and the number of changes sent.
    pub(super) async fn export(&mut self, sink: &dyn FileSink) -> Result<(Receipt, usize), SinkError> {
        let batch = self.batch(sink).await?;
        let size = batch.changes.len();
        if size == 0 {
            return Ok((Receipt::default(), 0));
        }
        let receipt = only(sink.apply(vec![(self.parts.cycle(self.number), batch)]).await)?;
        Ok((receipt, size))
    }
}

fn only(mut results: Vec<Result<Receipt, SinkError>>) -> Result<Receipt, SinkError> {
    match (results.len(), results.pop()) {
        (1, Some(result)) => result,
        (count, _) => Err(SinkError::terminal("apply", format!("{count} results for one batch"))),
    }
}

/// Checks that the files of these trees, and no others below their roots, are in the backend.
pub(super) async fn check<B: FileBackend + ?Sized>(backend: &B, trees: &[&Tree]) -> anyhow::Result<()> {
    let stored = backend.read_back().await?;
    for tree in trees {
        for (path, content) in &tree.files {
            let found = stored.get(path).with_context(|| format!("{path} is missing"))?;
            ensure!(found == content, "{path} has {} bytes instead of {}", found.len(), content.len());
        }
        let root = format!("{}/", tree.parts.cycle(0).of.inventory.name);
        let left = stored.keys().find(|path| path.starts_with(&root) && !tree.files.contains_key(*path));
        ensure!(left.is_none(), "{left:?} should not be there");
    }
    Ok(())
}

async fn first_write_difference_and_delete(backend: &dyn FileBackend) -> anyhow::Result<()> {
    let mut tree = Tree::filled("first", 50);
    let sink = backend.sink().await?;
    let (receipt, sent) = tree.export(&*sink).await?;
    ensure!(sent == 50 && receipt.bytes > 0, "{sent} files and {} bytes sent of 50", receipt.bytes);
    check(backend, &[&tree]).await?;
    let before = backend.revision().await?;
    ensure!(receipt.revision == before, "the receipt names {:?}, the backend {before:?}", receipt.revision);

    for sink in [&sink, &backend.sink().await?] {
        let (_, sent) = tree.export(&**sink).await?;
        ensure!(sent == 0, "{sent} changes although all was there");
    }
    ensure!(backend.revision().await? == before, "a new revision without a change");

    tree.put("first/dir-1/file-1.yaml", "changed: true\n");
    tree.put("first/new.yaml", "new: true\n");
    tree.files.remove("first/dir-2/file-2.yaml");
    let (_, sent) = tree.export(&*sink).await?;
    ensure!(sent == 3, "{sent} changes sent of 3");
    check(backend, &[&tree]).await?;
    tree.files.clear();
    tree.export(&*sink).await?;
    check(backend, &[&tree]).await
}

async fn neighbours(backend: &dyn FileBackend) -> anyhow::Result<()> {
    let sink = backend.sink().await?;
    let (mut one, mut two, mut thief) = (Tree::filled("one", 5), Tree::filled("two", 5), Tree::new("thief"));
    ensure!(sink.lane() == backend.sink().await?.lane(), "two sinks of one destination have different lanes");
    let batches = (one.batch(&*sink).await?, two.batch(&*sink).await?);
    let lane = vec![(one.parts.cycle(1), batches.0), (two.parts.cycle(1), batches.1)];
    for result in sink.apply(lane).await {
        result?;
    }
    check(backend, &[&one, &two]).await?;

    // A path of another binding is refused, and the neighbours in the lane go on.
    thief.put("one/dir-1/file-1.yaml", "stolen: true\n");
    one.put("one/more.yaml", "more: true\n");
    let batches = (thief.batch(&*sink).await?, one.batch(&*sink).await?);
    let lane = vec![(thief.parts.cycle(1), batches.0), (one.parts.cycle(2), batches.1)];
    let mut results = sink.apply(lane).await.into_iter();
    let (first, second) = (results.next(), results.next());
    collision(first.context("no result for the first batch")?)?;
    second.context("no result for the second batch")??;
    check(backend, &[&one, &two]).await
}

fn collision(result: Result<Receipt, SinkError>) -> anyhow::Result<()> {
    let error = result.err().context("a path of somebody else was overwritten")?;
    ensure!(error.class == Class::Terminal, "{error} is {:?}", error.class);
    ensure!(error.reason == Some(Reason::LayoutCollision), "{error} has the reason {:?}", error.reason);
    Ok(())
}

async fn foreign_files(backend: &dyn FileBackend) -> anyhow::Result<()> {
    backend.plant("foreign/file.txt", "somebody's\n").await?;
    let sink = backend.sink().await?;
    let mut tree = Tree::new("foreign");
    tree.put("foreign/file.txt", "ours\n");
    collision(tree.export(&*sink).await.map(|(receipt, _)| receipt))?;
    let stored = backend.read_back().await?;
    ensure!(stored.get("foreign/file.txt").is_some_and(|content| content == b"somebody's\n"), "it was overwritten");
    Ok(())
}

async fn forget(backend: &dyn FileBackend) -> anyhow::Result<()> {
    let sink = backend.sink().await?;
    let (mut gone, mut kept) = (Tree::filled("gone", 8), Tree::filled("kept", 8));
    gone.export(&*sink).await?;
    kept.export(&*sink).await?;
    gone.files.clear();
    for number in [70, 71] {
        let batch = FileBatch { changes: Vec::new(), ..gone.batch(&*sink).await? };
        sink.forget(&gone.parts.cycle(number), batch).await?;
        check(backend, &[&gone, &kept]).await?;
    }
    let records = backend.read_back().await?.into_keys().find(|path| path.starts_with(&gone.record));
    ensure!(records.is_none(), "the record {records:?} is left");
    Ok(())
}

async fn contents_and_paths(backend: &dyn FileBackend) -> anyhow::Result<()> {
    let sink = backend.sink().await?;
    let mut tree = Tree::new("odd");
    tree.put("odd/empty", "");
    tree.put("odd/binary", (0..=255).cycle().take(70_000).collect::<Vec<u8>>());
    tree.put("odd/crlf.yaml", "a: 1\r\nb: 2\r\n");
    tree.put("odd/large.json", "x".repeat(2_000_000));
    tree.put("odd/ünïcode 日本 with space.yaml", "a: 1\n");
    tree.put("odd/a/b/c/d/e/f/g/h/deep.yaml", "a: 1\n");
    tree.put("odd/-dash.yaml", "a: 1\n");
    tree.export(&*sink).await?;
    check(backend, &[&tree]).await?;
    // A file becomes a directory and back.
    tree.files.remove("odd/empty");
    tree.put("odd/empty/inside.yaml", "a: 1\n");
    tree.export(&*sink).await?;
    check(backend, &[&tree]).await?;
    tree.files.remove("odd/empty/inside.yaml");
    tree.put("odd/empty", "back\n");
    tree.export(&*sink).await?;
    check(backend, &[&tree]).await
}

async fn no_right(backend: &dyn FileBackend) -> anyhow::Result<()> {
    let sink = backend.sink().await?;
    let mut tree = Tree::filled("right", 2);
    tree.export(&*sink).await?;
    let mut deposed = Tree::filled("right", 2);
    deposed.put("right/dir-0/file-0.yaml", "by: the deposed\n");
    deposed.parts = cycle_parts(Family::Snapshot, "conformance", "right").with_right(NeverWrite);
    transient(&deposed.export(&*sink).await.err().context("a process without the right to write wrote")?)?;
    let batch = FileBatch { changes: Vec::new(), ..deposed.batch(&*sink).await? };
    let forgot = sink.forget(&deposed.parts.cycle(80), batch).await;
    transient(&forgot.err().context("a process without the right to write forgot")?)?;
    check(backend, &[&tree]).await
}

async fn wiped(backend: &dyn FileBackend) -> anyhow::Result<()> {
    let sink = backend.sink().await?;
    let mut tree = Tree::filled("wiped", 10);
    tree.export(&*sink).await?;
    backend.wipe().await?;
    let (_, sent) = tree.export(&*sink).await?;
    ensure!(sent == 10, "{sent} files sent of 10 after a wipe");
    check(backend, &[&tree]).await
}

async fn wrong_credentials(backend: &dyn FileBackend) -> anyhow::Result<()> {
    let Some(sink) = backend.sink_with_wrong_credentials().await? else { return Ok(()) };
    let error = Tree::filled("credentials", 1).export(&*sink).await.err().context("wrong credentials were let in")?;
    ensure!(error.class == Class::Terminal, "{error} is {:?}", error.class);
    let error = sink.probe(&CancellationToken::new()).await.err().context("the probe passed")?;
    ensure!(error.class == Class::Terminal, "the probe's {error} is {:?}", error.class);
    Ok(())
}

async fn down(backend: &dyn FileBackend) -> anyhow::Result<()> {
    let sink = backend.sink().await?;
    let mut tree = Tree::filled("down", 5);
    tree.export(&*sink).await?;
    backend.stop().await?;
    tree.put("down/while.yaml", "down: true\n");
    let failed = tree.export(&*sink).await;
    backend.start().await?;
    transient(&failed.err().context("an export into a stopped backend succeeded")?)?;
    for _ in 0..5 {
        match tree.export(&*sink).await {
            Ok(_) => return check(backend, &[&tree]).await,
            Err(error) => transient(&error)?,
        }
    }
    bail!("the sink did not recover with its backend")
}

async fn many(backend: &dyn FileBackend) -> anyhow::Result<()> {
    let sink = backend.sink().await?;
    let mut tree = Tree::filled("many", 3_000);
    tree.export(&*sink).await?;
    check(backend, &[&tree]).await?;
    let (_, sent) = tree.export(&*backend.sink().await?).await?;
    ensure!(sent == 0, "{sent} changes although all was there");
    tree.files.clear();
    tree.export(&*sink).await?;
    check(backend, &[&tree]).await
}
