//! The budget of one object, shared by all expression languages.
//!
//! Thread-local, because the CEL interpreter passes no context to its functions; an evaluation stays on its thread. Steps
//! are granted in small portions, so that spending costs one subtraction and the stop switch is read once per portion.

use crate::error::{ErrorClass, EvalError};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Steps per object and target. A step is at most about 100 ns of a release build, so all of them are below 250 ms.
pub(crate) const MAX_STEPS: u64 = 1_000_000;
/// Steps between two reads of the stop switch.
const PORTION: u64 = 4096;
/// Bytes that cost as much as one step when they are copied or searched once.
const BYTES_PER_STEP: usize = 64;
/// Most bytes that one CEL expression may build, including values that it drops.
pub(crate) const MAX_BUILT: usize = 4 << 20;
/// Shorter texts are not checked before they are written: in JSON they are at most six times as long.
const UNCHECKED_TEXT: usize = 4096;
/// Most bytes of the attributes of one row, unless `--max-row-bytes` is set.
pub const DEFAULT_MAX_ROW_BYTES: usize = 1 << 20;

/// An exceeded limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
    #[error("the object takes more than {MAX_STEPS} steps; read less of it, loop less or search shorter texts")]
    Steps,
    #[error("the expression builds more than {MAX_BUILT} bytes; build less, or read less of the object")]
    Built,
    #[error("the row is larger than {0} bytes; read less of the object, or raise --max-row-bytes")]
    Row(usize),
    #[error("the evaluation was stopped because it took too long; read less of the object")]
    Stopped,
}

impl From<Exceeded> for EvalError {
    fn from(exceeded: Exceeded) -> Self {
        Self::new(ErrorClass::Limit, Cow::Owned(exceeded.to_string()))
    }
}

/// Stops an evaluation from another thread, for a watchdog with a clock.
///
/// Evaluations are numbered, so that a stop that comes too late does not affect the next evaluation.
#[derive(Clone, Debug, Default)]
pub struct StopSwitch(Arc<Runs>);

#[derive(Debug, Default)]
struct Runs {
    current: AtomicU64,
    stopped: AtomicU64,
}

impl StopSwitch {
    /// The number of the current or last evaluation. It changes with every object and target.
    pub fn current(&self) -> u64 {
        self.0.current.load(Ordering::Relaxed)
    }

    /// Makes the evaluation fail with an exceeded limit within about a millisecond, if it still runs.
    pub fn stop(&self, evaluation: u64) {
        self.0.stopped.store(evaluation, Ordering::Relaxed);
    }

    /// Whether the current or last evaluation was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stops(self.current())
    }

    fn next(&self) -> u64 {
        // Only the thread of the evaluation increments it.
        let next = self.0.current.load(Ordering::Relaxed) + 1;
        self.0.current.store(next, Ordering::Relaxed);
        next
    }

    fn stops(&self, evaluation: u64) -> bool {
        self.0.stopped.load(Ordering::Relaxed) == evaluation
    }
}

thread_local! {
    /// Steps left of the portion.
    static LEFT: Cell<u64> = const { Cell::new(0) };
    /// Steps left after the portion.
    static RESERVE: Cell<u64> = const { Cell::new(MAX_STEPS) };
    static BUILT: Cell<usize> = const { Cell::new(0) };
    static MAX_ROW: Cell<usize> = const { Cell::new(DEFAULT_MAX_ROW_BYTES) };
    static EXCEEDED: Cell<Option<Exceeded>> = const { Cell::new(None) };
    static SWITCH: RefCell<Option<(StopSwitch, u64)>> = const { RefCell::new(None) };
}

/// Starts the work on an object for one target.
pub(crate) fn begin(switch: &StopSwitch, max_row: usize) {
    let evaluation = switch.next();
    SWITCH.with_borrow_mut(|kept| match kept {
        Some((known, number)) if Arc::ptr_eq(&known.0, &switch.0) => *number = evaluation,
        _ => *kept = Some((switch.clone(), evaluation)),
    });
    MAX_ROW.set(max_row);
    reset();
}

/// Resets the budget.
pub(crate) fn reset() {
    LEFT.set(0);
    RESERVE.set(MAX_STEPS);
    BUILT.set(0);
    EXCEEDED.set(None);
}

/// Steps spent since [`begin`].
pub(crate) fn spent() -> u64 {
    MAX_STEPS.saturating_sub(RESERVE.get()).saturating_sub(LEFT.get())
}

/// Spends `steps`, or fails when there are not enough left.
pub(crate) fn charge(steps: usize) -> Result<(), Exceeded> {
    let steps = steps as u64;
    let missing = LEFT.with(|left| match left.get().checked_sub(steps) {
        Some(rest) => {
            left.set(rest);
            None
        }
        None => Some(steps - left.get()),
    });
    missing.map_or(Ok(()), next_portion)
}

#[cold]
fn next_portion(more: u64) -> Result<(), Exceeded> {
    LEFT.set(0);
    check()?;
    let reserve = RESERVE.get();
    if more > reserve {
        return Err(fail(Exceeded::Steps));
    }
    if SWITCH.with_borrow(|kept| kept.as_ref().is_some_and(|(switch, evaluation)| switch.stops(*evaluation))) {
        return Err(fail(Exceeded::Stopped));
    }
    let portion = (reserve - more).min(PORTION);
    RESERVE.set(reserve - more - portion);
    LEFT.set(portion);
    Ok(())
}

/// Spends the steps for copying or searching `bytes` once.
pub(crate) fn charge_bytes(bytes: usize) -> Result<(), Exceeded> {
    charge(1 + bytes / BYTES_PER_STEP)
}

/// Starts an expression that builds values.
pub(crate) fn start_building() {
    BUILT.set(0);
}

/// Spends `bytes` of [`MAX_BUILT`] before a value is built.
pub(crate) fn build(bytes: usize) -> Result<(), Exceeded> {
    let built = BUILT.get().saturating_add(bytes);
    BUILT.set(built);
    if built > MAX_BUILT { Err(fail(Exceeded::Built)) } else { charge_bytes(bytes) }
}

/// Fails when the row is too large.
pub(crate) fn check_row(written: usize) -> Result<(), Exceeded> {
    let most = MAX_ROW.get();
    if written > most { Err(fail(Exceeded::Row(most))) } else { Ok(()) }
}

/// Fails when the row has no room for a text that is written as JSON. Short ones are checked with what follows them.
pub(crate) fn check_text(text: &str, written: usize) -> Result<(), Exceeded> {
    if text.len() < UNCHECKED_TEXT {
        return Ok(());
    }
    charge_bytes(text.len())?;
    check_row(written + text.len())?;
    let escaped = text.bytes().filter(|byte| matches!(byte, 0..0x20 | b'<' | b'>' | b'&' | b'"' | b'\\')).count();
    check_row(written + text.len() + escaped)
}

/// Fails after an exceeded limit, even if an operator of the expression has absorbed its error.
pub(crate) fn check() -> Result<(), Exceeded> {
    EXCEEDED.get().map_or(Ok(()), Err)
}

/// Makes every later spending fail.
#[cold]
fn fail(exceeded: Exceeded) -> Exceeded {
    LEFT.set(0);
    RESERVE.set(0);
    EXCEEDED.set(Some(exceeded));
    exceeded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_budget_stays_spent_until_the_next_object() {
        begin(&StopSwitch::default(), 10);
        assert_eq!(charge(usize::try_from(MAX_STEPS).unwrap()), Ok(()));
        assert_eq!(charge(1), Err(Exceeded::Steps));
        assert_eq!((charge(1), check()), (Err(Exceeded::Steps), Err(Exceeded::Steps)));
        begin(&StopSwitch::default(), 10);
        assert_eq!((charge(usize::MAX), charge(1)), (Err(Exceeded::Steps), Err(Exceeded::Steps)));
        begin(&StopSwitch::default(), 10);
        assert_eq!((check_row(10), check_row(11)), (Ok(()), Err(Exceeded::Row(10))));
        begin(&StopSwitch::default(), 10);
        assert_eq!((build(MAX_BUILT), build(1)), (Ok(()), Err(Exceeded::Built)));
    }

    #[test]
    fn another_thread_stops_the_evaluation_that_it_means_and_no_other() {
        let switch = StopSwitch::default();
        begin(&switch, 10);
        let first = switch.current();
        begin(&switch, 10);
        let spend = || (0..10).try_for_each(|_| charge(usize::try_from(PORTION).unwrap()));
        let stop = |evaluation| {
            let switch = switch.clone();
            std::thread::spawn(move || switch.stop(evaluation)).join().unwrap();
        };
        stop(first);
        assert_eq!(spend(), Ok(()), "the first is over");
        stop(switch.current());
        assert_eq!(spend(), Err(Exceeded::Stopped));
        begin(&switch, 10);
        assert_eq!(spend(), Ok(()));
    }
}
