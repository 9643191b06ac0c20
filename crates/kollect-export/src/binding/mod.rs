//! One binding between its cycles: when it is due, how far it has delivered, how it failed.
//!
//! Pure: time and jitter are values; a driver makes the requests to the sink.

pub(crate) mod carry_over;
pub(crate) mod compare;
pub(crate) mod cursor;
pub(crate) mod ending;
pub(crate) mod file_batch;
pub(crate) mod file_cycle;
pub(crate) mod pending_parts;
pub(crate) mod row_cycle;

use crate::backoff::backoff;
use crate::binding::compare::{Part, is_decided};
use crate::binding::cursor::Cursor;
use crate::binding::ending::{Ending, NotReady, Verdict};
use crate::binding::file_cycle::FileCycle;
use crate::binding::pending_parts::pending_parts;
use crate::binding::row_cycle::RowCycle;
use crate::cadence::Cadence;
use crate::clock::Moment;
use crate::contract::error::{Class, DependsOn, Landed, SinkError};
use crate::layout::{DocumentSpec, PathIndex};
use crate::settings::ExportSettings;
use kollect_model::Version;
use kollect_store::{Changes, ChangesQuery, ReaderId, Store, View};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Time between attempts after a terminal failure of the backend, unless a probe passes earlier.
const RECHECK_BACKEND: Duration = Duration::from_mins(10);

/// The schedule and progress of one binding.
#[derive(Debug)]
pub struct Binding {
    view: View,
    reader: ReaderId,
    settings: ExportSettings,
    cadence: Cadence,
    cursor: Cursor,
    unresolved_parts: BTreeSet<Part>,
    /// Paths of delivered files; file bindings only.
    index: PathIndex,
    failures: u32,
    retry_at: Option<Moment>,
    stop: Option<DependsOn>,
    /// The breaker refused the latest cycle.
    refused: bool,
    running: bool,
    /// The sink or its destination changed while a cycle ran: the result of that cycle is ignored.
    superseded: bool,
    cycles: u64,
}

impl Binding {
    /// A binding with an unknown cursor that is due at once.
    pub fn new(view: View, reader: ReaderId, interval: Duration, settings: ExportSettings, now: Moment) -> Self {
        let mut cadence = Cadence::new(interval);
        cadence.spec_changed(interval, now);
        Self {
            view,
            reader,
            settings,
            cadence,
            cursor: Cursor::Unknown,
            unresolved_parts: BTreeSet::new(),
            index: PathIndex::default(),
            failures: 0,
            retry_at: None,
            stop: None,
            refused: false,
            running: false,
            superseded: false,
            cycles: 0,
        }
    }

    /// The spec changed. `same_sink`: the delivered rows are still at the destination.
    pub fn spec_changed(&mut self, view: View, interval: Duration, same_sink: bool, now: Moment) {
        self.view = view;
        self.failures = 0;
        self.retry_at = None;
        self.stop = None;
        self.cadence.spec_changed(interval, now);
        if !same_sink {
            self.invalidate_cursor();
        }
    }

    /// Only the wanted view changed.
    pub fn view_changed(&mut self, view: View, now: Moment) {
        self.view = view;
        self.changed(now);
    }

    /// Makes the cursor unknown: the next cycle compares.
    pub fn invalidate_cursor(&mut self) {
        self.cursor = Cursor::Unknown;
        self.superseded = self.running;
    }

    /// Rows of the view may have changed. Ends a failure that depended on the rows; its back-off stays.
    pub fn changed(&mut self, now: Moment) {
        self.cadence.changed(now);
        self.stop.take_if(|stop| *stop == DependsOn::Rows);
    }

    /// The backend may have changed (a probe passed, another binding deleted a file): ends a failure that depended on
    /// it.
    pub fn backend_changed(&mut self, now: Moment) {
        if self.stop.take_if(|stop| *stop == DependsOn::Backend).is_some() {
            self.retry_at = None;
            self.cadence.changed(now);
        }
    }

    /// The breaker of the sink closed: ends the wait of a refused binding.
    pub fn readmit(&mut self) {
        if std::mem::take(&mut self.refused) {
            self.retry_at = None;
        }
    }

    /// When the next cycle may start; `None` while nothing waits, or until the cause of a terminal failure changes.
    pub fn due(&self) -> Option<Moment> {
        if self.running || matches!(self.stop, Some(DependsOn::Spec | DependsOn::Rows)) {
            return None;
        }
        let due = self.cadence.due()?;
        Some(due.max(self.retry_at.unwrap_or_default()))
    }

    /// Number of waiting changes, counted up to `most`; `None` while the cursor is unknown.
    pub fn waiting(&self, store: &Store, most: usize) -> Option<u64> {
        let Cursor::Known { view: old, version: since } = &self.cursor else { return None };
        if self.unresolved_parts.iter().any(|part| is_decided(store, &self.view, part)) {
            return None;
        }
        let (since, began, after) = (*since, store.cut(), Version(0));
        match store.changes(&ChangesQuery { old, since, new: &self.view, began, after, limit: most, skip: None }) {
            Changes::Delta { changes, .. } => Some(changes.len() as u64),
            Changes::Unknown => None,
        }
    }

    /// The driver could not begin a cycle: see [`NotReady`].
    pub fn not_ready(&mut self, now: Moment) {
        self.cadence.not_ready(now);
    }

    /// No waiting change concerns the view.
    pub fn nothing_waits(&mut self) {
        self.cadence.begin();
    }

    /// What ends the terminal failure, if there is one.
    pub fn stop(&self) -> Option<DependsOn> {
        self.stop
    }

    /// Whether the result of the running cycle will be ignored.
    pub fn is_superseded(&self) -> bool {
        self.superseded
    }

    /// The earliest moment of the next attempt after a failure.
    pub fn retry_at(&self) -> Option<Moment> {
        self.retry_at
    }

    /// Number of the latest cycle.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// The wanted view.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The store reader for which this binding keeps tombstones.
    pub fn reader(&self) -> ReaderId {
        self.reader
    }

    /// Starts a cycle of a row binding. `name` is the id of the cycle without its number.
    pub fn begin_rows(&mut self, store: &Store, name: &str) -> Result<RowCycle, NotReady> {
        self.begin(store)?;
        let (id, view) = (format!("{name}#{}", self.cycles), self.view.clone());
        let (cursor, unresolved_parts) = (self.cursor.clone(), self.unresolved_parts.clone());
        Ok(RowCycle::new(id, store, view, cursor, unresolved_parts, self.reader, self.settings))
    }

    /// Starts a cycle of a file binding.
    pub fn begin_files(
        &mut self,
        store: &Store,
        name: &str,
        spec: &Arc<DocumentSpec>,
        exported_at: String,
    ) -> Result<FileCycle, NotReady> {
        if spec.mode.needs_all_rows()
            // Every change needs the whole document, and the rows of a part that is not listed yet are unknown.
            && let Some(why) = pending_parts(store, &self.view)
        {
            self.cadence.begin();
            return Err(NotReady { why });
        }
        self.begin(store)?;
        let (id, view) = (format!("{name}#{}", self.cycles), self.view.clone());
        let progress = (self.cursor.clone(), self.unresolved_parts.clone(), std::mem::take(&mut self.index));
        Ok(FileCycle::new(id, spec.clone(), view, progress, self.reader, exported_at))
    }

    /// Ends a file cycle.
    pub fn end_files(&mut self, store: &Store, cycle: FileCycle, ending: Ending<'_>) {
        let touched = cycle.touched();
        let (cursor, unresolved_parts, index) = cycle.finish();
        self.index = index;
        self.settle(store, (cursor, unresolved_parts), touched, ending);
    }

    /// Checks that a cycle can start: a comparison needs every part listed, or known as lost.
    fn begin(&mut self, store: &Store) -> Result<(), NotReady> {
        // Changes from here on belong to the next cycle.
        self.cadence.begin();
        if self.unresolved_parts.iter().any(|part| is_decided(store, &self.view, part)) {
            self.cursor = Cursor::Unknown;
        }
        if matches!(self.cursor, Cursor::Unknown)
            && let Some(why) = pending_parts(store, &self.view)
        {
            return Err(NotReady { why });
        }
        self.running = true;
        self.superseded = false;
        self.cycles += 1;
        Ok(())
    }

    /// A cycle ended without a result, by a panic or because its task was dropped: it may have landed.
    pub fn abandon(&mut self, store: &Store, now: Moment, jitter: f64) {
        if !self.running {
            return;
        }
        self.index = PathIndex::default();
        let error = SinkError::transient("panic", "the export cycle ended without a result").maybe_landed();
        let ending = Ending { verdict: Verdict::Failed(&error), now, jitter };
        let unresolved_parts = self.unresolved_parts.clone();
        self.settle(store, (Cursor::Unknown, unresolved_parts), true, ending);
    }

    /// Ends a row cycle.
    pub fn end_rows(&mut self, store: &Store, cycle: RowCycle, ending: Ending<'_>) {
        let touched = cycle.touched();
        let (cursor, unresolved_parts) = cycle.finish();
        self.settle(store, (cursor, unresolved_parts), touched, ending);
    }

    fn settle(&mut self, store: &Store, progress: (Cursor, BTreeSet<Part>), touched: bool, ending: Ending<'_>) {
        let (cursor, unresolved_parts) = progress;
        let superseded = std::mem::take(&mut self.superseded);
        let mut unknown = superseded;
        self.running = false;
        self.refused = false;
        match ending.verdict {
            Verdict::Done => {
                self.unresolved_parts = unresolved_parts;
                self.failures = 0;
                self.retry_at = None;
                if touched && !superseded {
                    self.cadence.exported(ending.now);
                }
            }
            // The failure belongs to a sink that the binding no longer uses.
            _ if superseded => self.cadence.failed(ending.now),
            Verdict::Failed(error) => {
                unknown |= error.landed == Landed::Unknown;
                self.fail(error, ending.now, ending.jitter);
            }
            Verdict::Refused(wait) => {
                self.cadence.failed(ending.now);
                self.refused = true;
                self.retry_at = Some(ending.now + wait + Duration::from_secs(1).mul_f64(ending.jitter.clamp(0.0, 1.0)));
            }
        }
        self.cursor = if unknown { Cursor::Unknown } else { cursor };
        if matches!(self.cursor, Cursor::Unknown) {
            // An unknown cursor needs no tombstones.
            store.advance_reader(self.reader, store.cut(), &View::empty());
        }
    }

    fn fail(&mut self, error: &SinkError, now: Moment, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        let wait = match (error.class, error.depends_on) {
            (Class::Transient { retry_after }, _) => backoff(self.failures, jitter, retry_after),
            (_, DependsOn::Backend) => RECHECK_BACKEND.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0)),
            (_, DependsOn::Rows | DependsOn::Spec) => backoff(self.failures, jitter, None),
        };
        self.retry_at = Some(now + wait);
        let terminal = !matches!(error.class, Class::Transient { .. });
        self.stop = terminal.then_some(error.depends_on);
        if self.stop != Some(DependsOn::Rows) {
            self.cadence.failed(now);
        } else if self.cadence.due().is_some() {
            // Rows changed while the cycle ran: it may not have read them.
            self.stop = None;
        }
    }
}
