//! What a driver calls around its requests to a sink.

use crate::binding::ending::Verdict;
use crate::contract::error::{Class, SinkError};
use crate::contract::receipt::Receipt;
use crate::contract::rows::RowBatch;
use std::time::Duration;

/// Callbacks of a driver. The engine asks the breaker and counts, the command line counts, the simulation checks
/// deletions.
pub trait CycleHooks {
    /// Called before every request to the sink. An error ends the cycle as [`CycleError::Refused`].
    fn admit(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
    /// The sink reported everything that it holds, or that it cannot.
    fn read_back(&mut self) {}
    /// The batch is sent next.
    fn sending(&mut self, batch: &RowBatch) {
        let _ = batch;
    }
    /// The sink acknowledged a batch of rows.
    fn acknowledged(&mut self, receipt: Receipt) {
        let _ = receipt;
    }
}

/// Why a cycle did not finish.
#[derive(Clone, Debug)]
pub enum CycleError {
    /// [`CycleHooks::admit`] refused it.
    Refused(SinkError),
    /// It failed.
    Failed(SinkError),
}

impl CycleError {
    /// The cause.
    pub fn error(&self) -> &SinkError {
        match self {
            Self::Refused(error) | Self::Failed(error) => error,
        }
    }

    /// The verdict for the binding.
    pub fn verdict(&self) -> Verdict<'_> {
        match self {
            Self::Failed(error) => Verdict::Failed(error),
            Self::Refused(error) => Verdict::Refused(match error.class {
                Class::Transient { retry_after } => retry_after.unwrap_or_default(),
                Class::Terminal | Class::Forbidden => Duration::ZERO,
            }),
        }
    }

    /// The cause.
    pub fn into_error(self) -> SinkError {
        match self {
            Self::Refused(error) | Self::Failed(error) => error,
        }
    }
}
