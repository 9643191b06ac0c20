//! A row binding against a memory sink, one request per step, with faults.

use super::hooks::SimHooks;
use super::report::Planted;
use super::simulated_binding::{DeleteCheck, SETTINGS, SimStep, SimulatedBinding};
use super::sinks::{FaultySink, SimFault, at_once};
use fastrand::Rng;
use kollect_export::testing::{MemoryRows, StoredRow};
use kollect_export::{
    AlwaysWrite, Binding, BindingId, Breaker, Cycle, CycleError, Ending, Family, InventoryKey, Moment, Progress,
    RowBatch, RowCycle, RowDriver, SinkKey, Verdict,
};
use kollect_model::{Digest, Row, RowId};
use kollect_store::{Store, View};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A row binding, its sink, and its running cycle.
pub(super) struct SimulatedRows {
    binding: Binding,
    /// Has no other inventory than that of `id`.
    sink: FaultySink<MemoryRows>,
    id: BindingId,
    cancel: CancellationToken,
    breaker: Breaker,
    /// The cycle, and whether the breaker admitted it.
    cycle: Option<(RowCycle, bool)>,
    /// The last cycle did not finish.
    failed: bool,
    interval: Duration,
    cycles: u64,
    comparisons: u64,
}

fn binding(store: &Store, view: &View, interval: Duration, now: Moment) -> Binding {
    Binding::new(view.clone(), store.register_reader(), interval, SETTINGS, now)
}

impl SimulatedRows {
    pub(super) fn new(store: &Store, view: &View, interval: Duration, planted: Planted) -> Self {
        Self {
            binding: binding(store, view, interval, Duration::ZERO),
            sink: FaultySink::new(MemoryRows::default(), planted == Planted::CursorBeforeAck),
            id: BindingId {
                inventory: InventoryKey { namespace: "sim".into(), name: "inventory".into() },
                sink: SinkKey { family: Family::Database, namespace: "sim".into(), name: "memory".into() },
            },
            cancel: CancellationToken::new(),
            breaker: Breaker::default(),
            cycle: None,
            failed: false,
            interval,
            cycles: 0,
            comparisons: 0,
        }
    }

    fn end(&mut self, store: &Store, cycle: RowCycle, verdict: Verdict<'_>, now: Moment, random: &mut Rng) {
        if cycle.touched() && !matches!(verdict, Verdict::Refused(_)) {
            let error = if let Verdict::Failed(error) = verdict { Some(error) } else { None };
            self.breaker.record(error, now);
        }
        self.failed = !matches!(verdict, Verdict::Done);
        self.binding.end_rows(store, cycle, Ending { verdict, now, jitter: random.f64() });
    }
}

impl SimulatedBinding for SimulatedRows {
    fn binding(&mut self) -> &mut Binding {
        &mut self.binding
    }

    fn crash(&mut self, store: &Store, view: &View, now: Moment) {
        self.cycle = None;
        self.failed = false;
        self.breaker = Breaker::default();
        self.binding = binding(store, view, self.interval, now);
    }

    fn set_view(&mut self, view: View, now: Moment) {
        self.binding.spec_changed(view, self.interval, true, now);
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

    fn held(&self, each: &mut dyn FnMut(&RowId, Digest)) {
        for (id, row) in self.sink.memory.rows(&self.id.inventory) {
            each(&id, row.digest);
        }
    }

    fn tamper(&mut self, kind: u8, at: u64, foreign: &Row) {
        let (memory, of) = (&self.sink.memory, &self.id.inventory);
        if kind == 0 {
            memory.wipe();
            return;
        }
        memory.apply_now(of, RowBatch::default());
        memory.tamper(of, |rows| match rows.keys().nth(usize::try_from(at).unwrap_or_default()).cloned() {
            Some(id) if kind == 1 => drop(rows.remove(&id)),
            Some(id) => drop(rows.get_mut(&id).map(|row| row.digest = Digest([7; 16]))),
            None => drop(rows.insert(foreign.id.clone(), StoredRow::of(foreign))),
        });
    }

    fn is_intact(&self) -> bool {
        self.sink.memory.intact_now(&self.id.inventory)
    }

    fn counts(&self) -> (u64, u64) {
        (self.cycles, self.comparisons)
    }

    fn step(&mut self, step: SimStep<'_>, check: DeleteCheck<'_>) -> Result<(), String> {
        let SimStep { store, now, random, faults } = step;
        let Some((mut cycle, admitted)) = self.cycle.take() else {
            if self.binding.due().is_some_and(|due| due <= now) {
                self.cycle = self.binding.begin_rows(store, "sim").ok().map(|cycle| (cycle, false));
            }
            return Ok(());
        };
        *self.sink.fault.lock() = if faults { SimFault::draw(random) } else { None };
        let held = self.sink.memory.rows(&self.id.inventory);
        let (breaker, comparisons) = (&mut self.breaker, &mut self.comparisons);
        let is_held = &|id: &RowId| held.contains_key(id);
        let mut hooks = SimHooks { breaker, admitted, now, comparisons, is_held, check, violation: None };
        let (cancel, progress) = (&self.cancel, &Progress::default());
        let on = Cycle { of: &self.id, number: 1, fence: 0, cancel, progress, right: &AlwaysWrite };
        let mut driver = RowDriver { store, sink: &self.sink, cycle: on, hooks: &mut hooks };
        let stepped = at_once(driver.step(&mut cycle));
        let (admitted, violation) = (hooks.admitted, hooks.violation);
        if let Some(violation) = violation {
            return Err(violation);
        }
        let withheld = self.sink.withheld.lock().take();
        match withheld.map_or(stepped, |error| Err(CycleError::Failed(error))) {
            Ok(true) => self.cycle = Some((cycle, admitted)),
            Ok(false) => {
                self.cycles += 1;
                self.end(store, cycle, Verdict::Done, now, random);
            }
            Err(error) => self.end(store, cycle, error.verdict(), now, random),
        }
        Ok(())
    }
}
