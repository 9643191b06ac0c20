//! Drives one row binding against a memory sink, one step at a time, with faults.

use super::Planted;
use super::drive::{Check, Drive, SETTINGS, Step};
use fastrand::Rng;
use kollect_export::memory::{MemoryRows, StoredRow};
use kollect_export::{
    Binding, Breaker, Ending, InventoryKey, Knowledge, Moment, RowBatch, RowCycle, RowStep, SinkError, Verdict,
};
use kollect_model::{Change, Digest, Row, RowId};
use kollect_store::{Store, View};
use std::time::Duration;

/// A binding, its sink, and the cycle it is in.
pub(super) struct Driver {
    binding: Binding,
    /// Has no other inventory than `of`.
    sink: MemoryRows,
    of: InventoryKey,
    breaker: Breaker,
    cycle: Option<(RowCycle, bool)>,
    /// The last cycle did not come to its end.
    failed: bool,
    interval: Duration,
    planted: Planted,
    cycles: u64,
    comparisons: u64,
}

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
}

impl Drive for Driver {
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
        for (id, row) in self.sink.rows(&self.of) {
            each(&id, row.digest);
        }
    }

    fn tamper(&mut self, kind: u8, at: u64, foreign: &Row) {
        if kind == 0 {
            self.sink.wipe();
            return;
        }
        self.sink.apply_now(&self.of, RowBatch::default());
        self.sink.tamper(&self.of, |rows| match rows.keys().nth(usize::try_from(at).unwrap_or_default()).cloned() {
            Some(id) if kind == 1 => drop(rows.remove(&id)),
            Some(id) => drop(rows.get_mut(&id).map(|row| row.digest = Digest([7; 16]))),
            None => drop(rows.insert(foreign.id.clone(), StoredRow::of(foreign))),
        });
    }

    fn is_intact(&self) -> bool {
        self.sink.intact_now(&self.of)
    }

    fn counts(&self) -> (u64, u64) {
        (self.cycles, self.comparisons)
    }

    fn step(&mut self, Step { store, now, random, faults }: Step<'_>, check: Check<'_>) -> Result<(), String> {
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
        let fault = if faults && random.u8(..6) == 0 { Some(random.u8(..4)) } else { None };
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
}

impl Driver {
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
            // Refused until the backend changes.
            Some(3) => return Err(SinkError::terminal("write", "simulated refusal")),
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
        if self.planted != Planted::CursorBeforeAck {
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
