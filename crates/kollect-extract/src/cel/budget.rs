//! The steps that one evaluation may take.
//!
//! The interpreter has no limits of its own. Loops, comparisons and functions that copy charge the budget of the
//! thread; an evaluation never leaves its thread, so a thread-local counter is exact and costs nothing to share.

use cel::ExecutionError;
use std::cell::Cell;

/// Steps per evaluation. A loop step is about 0.3 µs, so the worst case is well below a second.
const STEPS: u64 = 100_000;
/// Bytes that cost as much as one loop step.
const BYTES_PER_STEP: usize = 256;
/// The longest string or list that an expression may build.
pub(super) const MAX_BUILT: usize = 256 * 1024;

/// Marks limit errors among the errors of functions.
pub(super) const LIMIT: &str = "@limit";

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// Starts an evaluation.
pub(super) fn reset() {
    LEFT.set(STEPS);
}

/// Takes `steps`. When nothing is left, the next [`charge`] fails.
pub(super) fn take(steps: usize) {
    LEFT.set(LEFT.get().saturating_sub(u64::try_from(steps).unwrap_or(u64::MAX)));
}

/// Takes `steps`, or fails when there are not enough left.
pub(super) fn charge(steps: usize) -> Result<(), ExecutionError> {
    take(steps);
    if LEFT.get() == 0 { Err(limit("the evaluation takes too many steps")) } else { Ok(()) }
}

/// Takes what handling `bytes` costs.
pub(super) fn charge_bytes(bytes: usize) -> Result<(), ExecutionError> {
    charge(1 + bytes / BYTES_PER_STEP)
}

/// Fails when something that is to be built is too large.
pub(super) fn check_built(size: usize) -> Result<(), ExecutionError> {
    if size > MAX_BUILT { Err(limit("a string or list becomes too large")) } else { charge_bytes(size) }
}

/// An error that says which limit was met.
pub(super) fn limit(message: &str) -> ExecutionError {
    ExecutionError::function_error(LIMIT, message)
}
