//! What is known of one binding between its cycles: when it may run, how far it is, how it failed.
//!
//! Pure: time and jitter come in as values, and the driver (the runner, the command line, the simulation) does the
//! asking and sending.

use crate::binding_compare::{Part, is_decided};
use crate::binding_files::FileCycle;
use crate::binding_rows::{Cursor, RowCycle};
use crate::layout::{DocumentSpec, PathIndex};
use crate::{Cadence, Class, DependsOn, ExportSettings, Landed, Moment, SinkError, backoff};
use kollect_model::{TargetKey, Version};
use kollect_store::{Changes, ChangesQuery, PartState, ReaderId, Store, View};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A terminal failure of the backend is tried again this often when no probe says earlier that something changed.
const RECHECK_BACKEND: Duration = Duration::from_mins(10);

/// The schedule and progress of one binding.
#[derive(Debug)]
pub struct Binding {
    view: View,
    reader: ReaderId,
    settings: ExportSettings,
    cadence: Cadence,
    cursor: Cursor,
    owed: BTreeSet<Part>,
    /// Paths of delivered files; of file bindings only.
    index: PathIndex,
    failures: u32,
    retry_at: Option<Moment>,
    stop: Option<DependsOn>,
    /// The latest cycle was refused by the breaker.
    refused: bool,
    running: bool,
    /// The sink or its destination changed while a cycle ran: what the cycle learned is void.
    void: bool,
    cycles: u64,
}

/// Why a cycle cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// For the condition message.
    pub why: String,
}

/// How a cycle ended.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    /// With what.
    pub verdict: Verdict<'a>,
    /// When.
    pub now: Moment,
    /// Random number in 0..=1 that spreads retries.
    pub jitter: f64,
}

/// With what a cycle ended.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    /// It came to its end.
    Done,
    /// It failed.
    Failed(&'a SinkError),
    /// The breaker of the sink did not let it begin, for this long. Not a failure of the binding's own.
    Refused(Duration),
}

impl Binding {
    /// A binding that knows nothing yet and is due at once.
    pub fn new(view: View, reader: ReaderId, interval: Duration, settings: ExportSettings, now: Moment) -> Self {
        let mut cadence = Cadence::new(interval, &settings);
        cadence.spec_changed(interval, now);
        Self {
            view,
            reader,
            settings,
            cadence,
            cursor: Cursor::Unknown,
            owed: BTreeSet::new(),
            index: PathIndex::default(),
            failures: 0,
            retry_at: None,
            stop: None,
            refused: false,
            running: false,
            void: false,
            cycles: 0,
        }
    }

    /// The spec changed. `same_sink`: the rows delivered so far are still where they were.
    pub fn spec_changed(&mut self, view: View, interval: Duration, same_sink: bool, now: Moment) {
        self.view = view;
        self.failures = 0;
        self.retry_at = None;
        self.stop = None;
        self.cadence.spec_changed(interval, now);
        if !same_sink {
            self.doubt();
        }
    }

    /// The wanted view changed, and nothing else.
    pub fn view_changed(&mut self, view: View, now: Moment) {
        self.view = view;
        self.changed(now);
    }

    /// Forgets how far the sink is: the next cycle compares.
    pub fn doubt(&mut self) {
        self.cursor = Cursor::Unknown;
        self.void = self.running;
    }

    /// Something of the view may have changed. Ends a failure that depended on the rows; its back-off stays.
    pub fn changed(&mut self, now: Moment) {
        self.cadence.changed(now);
        self.stop.take_if(|stop| *stop == DependsOn::Rows);
    }

    /// The backend may have changed (a probe passed, a file of another binding went): ends a failure that depended on it.
    pub fn backend_changed(&mut self, now: Moment) {
        if self.stop.take_if(|stop| *stop == DependsOn::Backend).is_some() {
            self.retry_at = None;
            self.cadence.changed(now);
        }
    }

    /// The breaker of the sink closed: a refused binding need not wait any longer.
    pub fn readmit(&mut self) {
        if std::mem::take(&mut self.refused) {
            self.retry_at = None;
        }
    }

    /// When the next cycle may start; `None` while there is nothing to do or no use in trying.
    pub fn due(&self) -> Option<Moment> {
        if self.running || matches!(self.stop, Some(DependsOn::Spec | DependsOn::Rows)) {
            return None;
        }
        let due = self.cadence.due()?;
        Some(due.max(self.retry_at.unwrap_or_default()))
    }

    /// How many changes wait, counted up to `most`; `None` when only a comparison could say.
    pub fn waiting(&self, store: &Store, most: usize) -> Option<u64> {
        let Cursor::Known { view: old, version: since } = &self.cursor else { return None };
        if self.owed.iter().any(|part| is_decided(store, &self.view, part)) {
            return None;
        }
        let (since, began, after) = (*since, store.cut(), Version(0));
        match store.changes(&ChangesQuery { old, since, new: &self.view, began, after, limit: most, skip: None }) {
            Changes::Delta { changes, .. } => Some(changes.len() as u64),
            Changes::Unknown => None,
        }
    }

    /// What was thought to wait concerns nothing in the view.
    pub fn nothing_waits(&mut self) {
        self.cadence.begin();
    }

    /// What has to change after a terminal failure.
    pub fn stop(&self) -> Option<DependsOn> {
        self.stop
    }

    /// Whether what the running cycle learns is void.
    pub fn is_void(&self) -> bool {
        self.void
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

    /// Where this binding keeps tombstones alive.
    pub fn reader(&self) -> ReaderId {
        self.reader
    }

    /// Starts a cycle of a row binding. `name` is the id of the cycle without its number.
    pub fn begin_rows(&mut self, store: &Store, name: &str) -> Result<RowCycle, NotReady> {
        self.begin(store)?;
        let (id, view) = (format!("{name}#{}", self.cycles), self.view.clone());
        let (cursor, owed) = (self.cursor.clone(), self.owed.clone());
        Ok(RowCycle::new(id, store, view, cursor, owed, self.reader, self.settings))
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
            // Every change needs the whole document; nobody has the rows of a part that is not listed yet.
            && let Some(why) = pending(store, &self.view)
        {
            self.cadence.begin();
            return Err(NotReady { why });
        }
        self.begin(store)?;
        let (id, view) = (format!("{name}#{}", self.cycles), self.view.clone());
        let progress = (self.cursor.clone(), self.owed.clone(), std::mem::take(&mut self.index));
        Ok(FileCycle::new(id, spec.clone(), view, progress, self.reader, exported_at))
    }

    /// A file cycle is over.
    pub fn end_files(&mut self, store: &Store, cycle: FileCycle, ending: Ending<'_>) {
        let touched = cycle.touched();
        let (cursor, owed, index) = cycle.finish();
        self.index = index;
        self.settle(store, (cursor, owed), touched, ending);
    }

    /// What every cycle checks first. A comparison needs every part listed, or known to be impossible to list.
    fn begin(&mut self, store: &Store) -> Result<(), NotReady> {
        // What is learned of the store from here on belongs to the next cycle.
        self.cadence.begin();
        if self.owed.iter().any(|part| is_decided(store, &self.view, part)) {
            self.cursor = Cursor::Unknown;
        }
        if matches!(self.cursor, Cursor::Unknown)
            && let Some(why) = pending(store, &self.view)
        {
            return Err(NotReady { why });
        }
        self.running = true;
        self.void = false;
        self.cycles += 1;
        Ok(())
    }

    /// A cycle ended without a result, by a panic or because its task was dropped: what it did is unknown.
    pub fn abandon(&mut self, store: &Store, now: Moment, jitter: f64) {
        if !self.running {
            return;
        }
        self.index = PathIndex::default();
        let error = SinkError::transient("panic", "the export cycle ended without a result").maybe_landed();
        let ending = Ending { verdict: Verdict::Failed(&error), now, jitter };
        let owed = self.owed.clone();
        self.settle(store, (Cursor::Unknown, owed), true, ending);
    }

    /// A row cycle is over.
    pub fn end_rows(&mut self, store: &Store, cycle: RowCycle, ending: Ending<'_>) {
        let touched = cycle.touched();
        let (cursor, owed) = cycle.finish();
        self.settle(store, (cursor, owed), touched, ending);
    }

    fn settle(&mut self, store: &Store, progress: (Cursor, BTreeSet<Part>), touched: bool, ending: Ending<'_>) {
        let (cursor, owed) = progress;
        let void = std::mem::take(&mut self.void);
        let mut doubtful = void;
        self.running = false;
        self.refused = false;
        match ending.verdict {
            Verdict::Done => {
                self.owed = owed;
                self.failures = 0;
                self.retry_at = None;
                if touched && !void {
                    self.cadence.exported(ending.now);
                }
            }
            // The failure belongs to a sink that is not the binding's any more.
            _ if void => self.cadence.failed(ending.now),
            Verdict::Failed(error) => {
                doubtful |= error.landed == Landed::Unknown;
                self.fail(error, ending.now, ending.jitter);
            }
            Verdict::Refused(wait) => {
                self.cadence.failed(ending.now);
                self.refused = true;
                self.retry_at = Some(ending.now + wait + Duration::from_secs(1).mul_f64(ending.jitter.clamp(0.0, 1.0)));
            }
        }
        self.cursor = if doubtful { Cursor::Unknown } else { cursor };
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
            // Rows changed while the cycle ran: it may not have seen them.
            self.stop = None;
        }
    }
}

/// Names parts of the view that are not listed yet.
fn pending(store: &Store, view: &View) -> Option<String> {
    let parts = store.parts(view).into_iter().filter(|(_, _, state)| *state == PartState::Pending);
    let names: Vec<String> = parts.map(|(target, namespace, _)| part_name(&target, namespace.as_deref())).collect();
    list(&names).map(|names| format!("waiting for the first list of {names}"))
}

fn part_name(target: &TargetKey, namespace: Option<&str>) -> String {
    match namespace {
        None | Some("") => format!("target {target}"),
        Some(namespace) => format!("target {target} in {namespace}"),
    }
}

/// The first few names, and how many more; `None` when there are none.
fn list(names: &[String]) -> Option<String> {
    const SHOWN: usize = 3;
    if names.is_empty() {
        return None;
    }
    let shown = names[..names.len().min(SHOWN)].join(", ");
    Some(if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown })
}
