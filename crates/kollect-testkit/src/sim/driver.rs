//! Drives one binding against a memory sink, one step at a time, with faults.

use super::Planted;
use fastrand::Rng;
use kollect_export::memory::MemoryRows;
use kollect_export::{
    Binding, Breaker, Ending, ExportSettings, InventoryKey, Knowledge, Moment, RowBatch, RowCycle, RowStep, SinkError,
    Verdict,
};
use kollect_model::{Change, RowId};
use kollect_store::{Store, View};
use std::time::Duration;

/// A binding, its sink, and the cycle it is in.
pub(super) struct Driver {
    pub(super) binding: Binding,
    /// Has no other inventory than `of`.
    pub(super) sink: MemoryRows,
    pub(super) of: InventoryKey,
    breaker: Breaker,
    cycle: Option<(RowCycle, bool)>,
    /// The last cycle did not come to its end.
    failed: bool,
    interval: Duration,
    planted: Planted,
    pub(super) cycles: u64,
    pub(super) comparisons: u64,
}

/// Small pages and batches, so that few rows make many steps.
const SETTINGS: ExportSettings = ExportSettings {
    export_timeout: Duration::from_secs(10),
    gather_quiet: Duration::from_millis(10),
    gather_most: Duration::from_millis(100),
    debounced_after: Duration::from_secs(10),
    batch_rows: 3,
    batch_bytes: 700,
};

fn binding(store: &Store, view: &View, interval: Duration, now: Moment) -> Binding {
    Binding::new(view.clone(), store.register_reader(), interval, SETTINGS, now)
}

impl Driver {
    pub(super) fn new(store: &Store, view: &View, interval: Duration, planted: Planted) -> Self {
        Self {
            binding: binding(store, view, interval, Duration::ZERO),
            sink: MemoryRows::default(),
            of: InventoryKey { namespace: "sim".into(), name: "inventory".into() },
            breaker: Breaker::default(),
            cycle: None,
            failed: false,
            interval,
            planted,
            cycles: 0,
            comparisons: 0,
        }
    }

    /// The process ends and a new one starts: only the sink is still there.
    pub(super) fn crash(&mut self, store: &Store, view: &View, now: Moment) {
        self.cycle = None;
        self.failed = false;
        self.breaker = Breaker::default();
        self.binding = binding(store, view, self.interval, now);
    }

    /// Another spec for the same sink.
    pub(super) fn set_view(&mut self, view: View, now: Moment) {
        self.binding.spec_changed(view, self.interval, true, now);
    }

    /// Nothing runs and nothing is due, ever.
    pub(super) fn is_idle(&self) -> bool {
        self.cycle.is_none() && self.binding.due().is_none()
    }

    /// Something that was decided earlier may still be on its way to the sink.
    pub(super) fn is_exposed(&self) -> bool {
        self.cycle.is_some() || self.failed
    }

    /// Takes one step: begins a due cycle, or goes on with the running one. Asks `check` about every row that
    /// leaves the sink.
    pub(super) fn step(
        &mut self,
        store: &Store,
        now: Moment,
        random: &mut Rng,
        faults: bool,
        check: &mut dyn FnMut(&RowId) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some((mut cycle, admitted)) = self.cycle.take() else {
            if self.binding.due().is_some_and(|due| due <= now)
                && let Ok(cycle) = self.binding.begin_rows(store, "sim")
            {
                self.cycle = Some((cycle, false));
            }
            return Ok(());
        };
        let step = cycle.step(store);
        if !admitted
            && !matches!(step, RowStep::Done)
            && let Err(refused) = self.breaker.admit(now)
        {
            let wait = match refused.class {
                kollect_export::Class::Transient { retry_after } => retry_after.unwrap_or_default(),
                _ => Duration::ZERO,
            };
            self.end(store, cycle, Verdict::Refused(wait), now, random);
            return Ok(());
        }
        let fault = if faults && random.u8(..6) == 0 { Some(random.u8(..3)) } else { None };
        let result = match step {
            RowStep::Done => {
                self.cycles += 1;
                self.end(store, cycle, Verdict::Done, now, random);
                return Ok(());
            }
            RowStep::Outrun => Err(down()),
            RowStep::CheckIntact => {
                cycle.intact(store, self.sink.intact_now(&self.of));
                Ok(())
            }
            RowStep::ReadHeld if fault == Some(0) => Err(down()),
            RowStep::ReadHeld => {
                self.comparisons += 1;
                self.sink.held_now(&self.of, &mut |row| cycle.held(store, row));
                cycle.held_all(store, Knowledge::Complete);
                Ok(())
            }
            RowStep::Apply(batch) => {
                let held = self.sink.rows(&self.of);
                for id in batch.changes.iter().filter(|change| matches!(change, Change::Delete(_))).map(Change::id) {
                    if held.contains_key(id) {
                        check(id)?;
                    }
                }
                self.apply(store, &mut cycle, batch, fault)
            }
        };
        match result {
            Ok(()) => self.cycle = Some((cycle, true)),
            Err(error) => self.end(store, cycle, Verdict::Failed(&error), now, random),
        }
        Ok(())
    }

    fn apply(
        &mut self,
        store: &Store,
        cycle: &mut RowCycle,
        batch: RowBatch,
        fault: Option<u8>,
    ) -> Result<(), SinkError> {
        if self.planted == Planted::CursorBeforeAck {
            cycle.acked(store);
        }
        match fault {
            // Nothing landed.
            Some(0) => return Err(down()),
            // Some of it landed, and the answer was lost.
            Some(1) => {
                let half: Vec<Change> = batch.changes.into_iter().step_by(2).collect();
                self.sink.apply_now(&self.of, RowBatch { changes: half, bracket: None });
                return Err(down().maybe_landed());
            }
            // All of it landed, and the answer was lost.
            Some(_) => {
                self.sink.apply_now(&self.of, batch);
                return Err(down().maybe_landed());
            }
            None => drop(self.sink.apply_now(&self.of, batch)),
        }
        if self.planted == Planted::Nothing {
            cycle.acked(store);
        }
        Ok(())
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

fn down() -> SinkError {
    SinkError::transient("write", "simulated failure")
}
