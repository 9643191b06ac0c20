//! A file binding against files in memory, one request per step, with faults.

use super::hooks::SimHooks;
use super::simulated_binding::{DeleteCheck, SETTINGS, SimStep, SimulatedBinding};
use super::sinks::{FaultySink, SimFault, at_once};
use fastrand::Rng;
use futures_util::FutureExt as _;
use kollect_export::encode::{Content, Format};
use kollect_export::layout::{
    Author, CommitTemplates, DEFAULT_DOCUMENT_TEMPLATE, DocumentSpec, FilenameOptions, Grammar, Mode, Partitioning,
    PathTemplate, TemplateError,
};
use kollect_export::testing::MemoryFiles;
use kollect_export::{
    AlwaysWrite, Binding, BindingId, Breaker, Cycle, CycleError, DependsOn, Ending, Family, FileCycle, FileDriver,
    InventoryKey, Moment, Progress, SinkKey, Verdict, acknowledge, write_lane,
};
use kollect_model::{Digest, Item, Row, RowId, TargetKey};
use kollect_store::{Store, View};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Not at the path of an unknown target without a namespace.
const TREE: &str = "{cluster}/{sourceNamespace}/{targetName}/{sourceName}{extension}";
/// Some views fit into a document of this size and some do not.
const MOST_BYTES: u64 = 1_600;

/// A file binding, its sink, and its running cycle.
pub(super) struct SimulatedFiles {
    binding: Binding,
    sink: FaultySink<MemoryFiles>,
    cancel: CancellationToken,
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

impl SimulatedFiles {
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
            sink: FaultySink::new(MemoryFiles::new("sim"), false),
            cancel: CancellationToken::new(),
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
}

impl SimulatedFiles {
    fn begin_due(&mut self, store: &Store, now: Moment) {
        if self.binding.due().is_some_and(|due| due <= now) {
            self.exported_at += 1;
            let at = format!("2026-01-01T00:00:00.{}Z", self.exported_at);
            let begun = self.binding.begin_files(store, "sim", &self.spec, at);
            self.cycle = begun.ok().map(|cycle| (cycle, false));
        }
    }

    /// Checks every row that the last write removed from the files.
    fn check_rows(&mut self, check: DeleteCheck<'_>) -> Result<(), String> {
        let before = std::mem::replace(&mut self.rows, rows_in(&self.sink.memory, self.spec.mode));
        before.keys().filter(|id| !self.rows.contains_key(id)).try_for_each(check)
    }
}

impl SimulatedBinding for SimulatedFiles {
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
        // As after a changed selection: only the view of the binding changes.
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

    fn step(&mut self, step: SimStep<'_>, check: DeleteCheck<'_>) -> Result<(), String> {
        let SimStep { store, now, random, faults } = step;
        let Some((mut cycle, admitted)) = self.cycle.take() else {
            self.begin_due(store, now);
            return Ok(());
        };
        *self.sink.fault.lock() = if faults { SimFault::draw(random) } else { None };
        let (breaker, comparisons) = (&mut self.breaker, &mut self.counts.1);
        let mut hooks = SimHooks { breaker, admitted, now, comparisons, is_held: &|_| false, check, violation: None };
        let (cancel, progress) = (&self.cancel, &Progress::default());
        let on = Cycle { of: &self.id, number: 1, fence: 0, cancel, progress, right: &AlwaysWrite };
        let before = *hooks.comparisons;
        let mut driver = FileDriver { sink: &self.sink, cycle: on, hooks: &mut hooks };
        let stepped = cycle.step(store).map_err(CycleError::Failed);
        let stepped = stepped.and_then(|step| at_once(driver.request(step, &mut cycle)));
        self.tampered &= *hooks.comparisons == before;
        let (admitted, check) = (hooks.admitted, hooks.check);
        let written = match stepped {
            Ok(ControlFlow::Continue(())) => Ok(false),
            Ok(ControlFlow::Break(None)) => Ok(true),
            Ok(ControlFlow::Break(Some(batch))) => {
                let results = write_lane(&self.sink, vec![(on, batch)]).now_or_never().unwrap_or_default();
                self.check_rows(check)?;
                let written = results.into_iter().collect::<Result<Vec<_>, _>>().map_err(CycleError::Failed);
                written.map(|_| {
                    acknowledge(store, &mut cycle);
                    false
                })
            }
            Err(error) => Err(error),
        };
        match written {
            Ok(false) => self.cycle = Some((cycle, admitted)),
            Ok(true) => {
                self.counts.0 += 1;
                self.end(store, cycle, Verdict::Done, now, random);
            }
            Err(error) => self.end(store, cycle, error.verdict(), now, random),
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
        self.sink.memory.tamper(|tree| {
            if kind == 0 {
                tree.clear();
                return;
            }
            let mut files = tree.keys().filter(|path| !path.starts_with(".kollect")).cloned();
            if let Some(path) = files.nth(usize::try_from(at).unwrap_or_default()) {
                tree.remove(&path);
            }
        });
        self.rows = rows_in(&self.sink.memory, self.spec.mode);
    }

    fn is_intact(&self) -> bool {
        !self.tampered
    }

    fn may_be_stopped(&mut self, store: &Store) -> bool {
        if self.binding.stop() != Some(DependsOn::Rows) {
            return false;
        }
        // A new binding with the same rows and another sink is refused as well.
        let fresh = Self::new(store, self.binding.view(), self.spec.mode);
        let Ok(mut fresh) = fresh else { return false };
        let (mut random, mut now) = (Rng::with_seed(0), Duration::from_secs(1));
        while !fresh.is_idle() {
            now += Duration::from_secs(1);
            let step = SimStep { store, now, random: &mut random, faults: false };
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
