//! Drives one file binding against files in memory, one step at a time, with faults.

use super::drive::{Check, Drive, SETTINGS, Step};
use fastrand::Rng;
use futures_util::FutureExt as _;
use kollect_export::encode::{Content, Format};
use kollect_export::layout::{
    Author, CommitTemplates, DEFAULT_DOCUMENT_TEMPLATE, DocumentSpec, FilenameOptions, Grammar, Mode, Partitioning,
    PathTemplate, TemplateError,
};
use kollect_export::memory::MemoryFiles;
use kollect_export::{
    AlwaysWrite, Binding, BindingId, Breaker, Cycle, DependsOn, Ending, Family, FileBatch, FileCycle, FileSink as _,
    FileStep, InventoryKey, Moment, Progress, SinkError, SinkKey, Verdict,
};
use kollect_model::{Digest, Item, Row, RowId, TargetKey};
use kollect_store::{Store, View};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Not where a whole unknown target would be taken for one without a namespace.
const TREE: &str = "{cluster}/{sourceNamespace}/{targetName}/{sourceName}{extension}";
/// Some views fit into a document of this size and some do not.
const MOST_BYTES: u64 = 1_600;

/// A file binding, its sink, and the cycle it is in.
pub(super) struct FileDriver {
    binding: Binding,
    sink: MemoryFiles,
    id: BindingId,
    spec: Arc<DocumentSpec>,
    breaker: Breaker,
    cycle: Option<(FileCycle, bool)>,
    failed: bool,
    tampered: bool,
    /// The rows in all files.
    rows: BTreeMap<RowId, Digest>,
    counts: (u64, u64),
    exported_at: u64,
}

impl FileDriver {
    pub(super) fn new(store: &Store, view: &View, mode: Mode) -> Result<Self, TemplateError> {
        let inventory = InventoryKey { namespace: "sim".into(), name: "files".into() };
        let sink = SinkKey { family: Family::Snapshot, namespace: "sim".into(), name: "memory".into() };
        let document = PathTemplate::parse(DEFAULT_DOCUMENT_TEMPLATE, Grammar::Document)?;
        let spec = DocumentSpec {
            mode,
            content: Content::Item,
            format: Format::Json,
            path_template: document.clone(),
            row_template: PathTemplate::parse(TREE, Grammar::Row)?,
            index_template: document,
            filename: FilenameOptions::default(),
            cluster: "".into(),
            inventory: inventory.clone(),
            generation: 1,
            sink_name: sink.name.clone(),
            max_bytes: MOST_BYTES,
            backend_limit: None,
            partitioning: Partitioning::Disabled { spill_limit: None },
            commit: CommitTemplates::default(),
            author: Author::default(),
        };
        Ok(Self {
            binding: binding(store, view, Duration::ZERO),
            sink: MemoryFiles::new("sim"),
            id: BindingId { inventory, sink },
            spec: Arc::new(spec),
            breaker: Breaker::default(),
            cycle: None,
            failed: false,
            tampered: false,
            rows: BTreeMap::new(),
            counts: (0, 0),
            exported_at: 0,
        })
    }

    fn end(&mut self, store: &Store, cycle: FileCycle, verdict: Verdict<'_>, now: Moment, random: &mut Rng) {
        if cycle.touched() && !matches!(verdict, Verdict::Refused(_)) {
            let error = if let Verdict::Failed(error) = verdict { Some(error) } else { None };
            self.breaker.record(error, now);
        }
        self.failed = !matches!(verdict, Verdict::Done);
        self.binding.end_files(store, cycle, Ending { verdict, now, jitter: random.f64() });
    }

    /// What a step asks of the sink.
    fn perform(
        &mut self,
        cycle: &mut FileCycle,
        step: FileStep,
        store: &Store,
        fault: Option<u8>,
    ) -> Result<(), SinkError> {
        let (cancel, progress) = (CancellationToken::new(), Progress::default());
        let on = Cycle { of: &self.id, number: 1, fence: 0, cancel: &cancel, progress: &progress, right: &AlwaysWrite };
        let record = cycle.record();
        match step {
            FileStep::Done => {}
            FileStep::ReadHeld | FileStep::ReadFile(_) if fault == Some(0) => return Err(down()),
            FileStep::ReadHeld => {
                self.counts.1 += 1;
                self.tampered = false;
                let knowledge = at_once(self.sink.held(&on, &record, &mut |file| cycle.held(file)))?;
                cycle.held_all(knowledge);
            }
            FileStep::ReadFile(path) => {
                let content = at_once(self.sink.read(&on, &record, &path))?;
                cycle.content(content);
            }
            FileStep::Apply(batch) => {
                self.apply(on, batch, fault)?;
                cycle.acked(store);
            }
        }
        Ok(())
    }

    fn apply(&self, on: Cycle<'_>, batch: FileBatch, fault: Option<u8>) -> Result<(), SinkError> {
        match fault {
            Some(0) => return Err(down()),
            Some(3) => return Err(SinkError::terminal("write", "simulated refusal")),
            _ => {}
        }
        let results = self.sink.apply(vec![(on, batch)]).now_or_never().unwrap_or_default();
        for result in results {
            result?;
        }
        // The answer was lost.
        if fault.is_some() { Err(down().maybe_landed()) } else { Ok(()) }
    }
}

impl Drive for FileDriver {
    fn binding(&mut self) -> &mut Binding {
        &mut self.binding
    }

    fn crash(&mut self, store: &Store, view: &View, now: Moment) {
        self.cycle = None;
        self.failed = false;
        self.breaker = Breaker::default();
        self.binding = binding(store, view, now);
    }

    fn set_view(&mut self, view: View, now: Moment) {
        // As a changed selection does: the spec of the binding is the same, and only its view is not.
        self.binding.view_changed(view, now);
    }

    fn is_running(&self) -> bool {
        self.cycle.is_some()
    }

    fn is_idle(&self) -> bool {
        self.cycle.is_none() && self.binding.due().is_none()
    }

    fn is_exposed(&self) -> bool {
        self.cycle.is_some() || self.failed
    }

    fn step(&mut self, Step { store, now, random, faults }: Step<'_>, check: Check<'_>) -> Result<(), String> {
        let Some((mut cycle, admitted)) = self.cycle.take() else {
            if self.binding.due().is_some_and(|due| due <= now) {
                self.exported_at += 1;
                let at = format!("2026-01-01T00:00:00.{}Z", self.exported_at);
                let begun = self.binding.begin_files(store, "sim", &self.spec, at);
                self.cycle = begun.ok().map(|cycle| (cycle, false));
            }
            return Ok(());
        };
        let step = match cycle.step(store) {
            Ok(step) => step,
            Err(error) => {
                self.end(store, cycle, Verdict::Failed(&error), now, random);
                return Ok(());
            }
        };
        if matches!(step, FileStep::Done) {
            self.counts.0 += 1;
            self.end(store, cycle, Verdict::Done, now, random);
            return Ok(());
        }
        if !admitted && self.breaker.admit(now).is_err() {
            self.end(store, cycle, Verdict::Refused(Duration::from_secs(30)), now, random);
            return Ok(());
        }
        let fault = if faults && random.u8(..6) == 0 { Some(random.u8(..4)) } else { None };
        let writes = matches!(step, FileStep::Apply(_));
        let result = self.perform(&mut cycle, step, store, fault);
        if writes {
            let before = std::mem::replace(&mut self.rows, rows_in(&self.sink, self.spec.mode));
            for id in before.keys().filter(|id| !self.rows.contains_key(id)) {
                check(id)?;
            }
        }
        match result {
            Ok(()) => self.cycle = Some((cycle, true)),
            Err(error) => self.end(store, cycle, Verdict::Failed(&error), now, random),
        }
        Ok(())
    }

    fn held(&self, each: &mut dyn FnMut(&RowId, Digest)) {
        for (id, digest) in &self.rows {
            each(id, *digest);
        }
    }

    fn tamper(&mut self, kind: u8, at: u64, _: &Row) {
        self.tampered = true;
        self.sink.tamper(|tree| {
            if kind == 0 {
                tree.clear();
                return;
            }
            let mut files = tree.keys().filter(|path| !path.starts_with(".kollect")).cloned();
            if let Some(path) = files.nth(usize::try_from(at).unwrap_or_default()) {
                tree.remove(&path);
            }
        });
        self.rows = rows_in(&self.sink, self.spec.mode);
    }

    fn is_intact(&self) -> bool {
        !self.tampered
    }

    fn may_stand_still(&mut self, store: &Store) -> bool {
        if self.binding.stop() != Some(DependsOn::Rows) {
            return false;
        }
        // Another binding with the same rows and a sink of its own is refused as well.
        let fresh = Self::new(store, self.binding.view(), self.spec.mode);
        let Ok(mut fresh) = fresh else { return false };
        let (mut random, mut now) = (Rng::with_seed(0), Duration::from_secs(1));
        while !fresh.is_idle() {
            now += Duration::from_secs(1);
            let step = Step { store, now, random: &mut random, faults: false };
            if fresh.step(step, &mut |_| Ok(())).is_err() {
                return false;
            }
        }
        store.drop_reader(fresh.binding.reader());
        fresh.binding.stop() == Some(DependsOn::Rows)
    }

    fn counts(&self) -> (u64, u64) {
        self.counts
    }
}

/// The rows in all files.
fn rows_in(sink: &MemoryFiles, mode: Mode) -> BTreeMap<RowId, Digest> {
    #[derive(Deserialize)]
    struct Document {
        items: Vec<Item>,
    }
    let mut rows = BTreeMap::new();
    for (path, content) in sink.tree() {
        if path.starts_with(".kollect") {
            continue;
        }
        let items = match mode {
            Mode::Document => serde_json::from_slice::<Document>(&content).map(|document| document.items),
            _ => serde_json::from_slice::<Item>(&content).map(|item| vec![item]),
        };
        for item in items.into_iter().flatten() {
            let target = Arc::new(TargetKey::namespaced(&item.target_namespace, &item.target_name));
            if let Ok(row) = item.into_row(target) {
                rows.insert(row.id.clone(), row.digest);
            }
        }
    }
    rows
}

fn binding(store: &Store, view: &View, now: Moment) -> Binding {
    Binding::new(view.clone(), store.register_reader(), Duration::ZERO, SETTINGS, now)
}

/// The result of a sink in memory, which never waits.
fn at_once<T>(work: impl Future<Output = Result<T, SinkError>>) -> Result<T, SinkError> {
    work.now_or_never().unwrap_or_else(|| Err(down()))
}

fn down() -> SinkError {
    SinkError::transient("write", "simulated failure")
}
