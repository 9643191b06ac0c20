//! A sink that fails on command, around any other sink.

use crate::contract::cycle::Cycle;

use crate::contract::error::SinkError;

use crate::contract::files::{FileBatch, FileSink, HeldFile};

use crate::contract::receipt::{Probe, Receipt};

use crate::contract::rows::{HeldRow, RowBatch, RowSink};

use crate::contract::receipt::ReadBack;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How one write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkFault {
    /// Transient error; nothing landed.
    Before,
    /// Everything landed, and the write returns an error with an unknown outcome.
    LostAck,
    /// Never returns, until it is cancelled or dropped.
    Stall,
    /// Terminal error; nothing landed.
    Terminal,
    /// Panics.
    Panic,
}

/// Faults of the next writes, one each, in order.
#[derive(Debug, Default)]
pub struct Faults(Mutex<VecDeque<SinkFault>>);

impl Faults {
    /// Appends faults for the next writes.
    pub fn plan(&self, faults: &[SinkFault]) {
        self.0.lock().extend(faults);
    }

    /// SinkFault of this write, if any.
    pub fn next(&self) -> Option<SinkFault> {
        self.0.lock().pop_front()
    }
}

/// A sink with injected faults.
#[derive(Debug)]
pub struct Faulty<S> {
    inner: Arc<S>,
    /// Faults of the next writes.
    pub faults: Faults,
}

impl<S> Faulty<S> {
    /// Wraps a sink. Without planned faults it behaves like it.
    pub fn new(inner: Arc<S>) -> Self {
        Self { inner, faults: Faults::default() }
    }

    /// Applies every fault except [`SinkFault::LostAck`], which writes first.
    async fn fail(&self, fault: Option<SinkFault>) -> Result<(), SinkError> {
        match fault {
            None | Some(SinkFault::LostAck) => Ok(()),
            Some(SinkFault::Before) => Err(SinkError::transient("write", "the backend was down for this write")),
            Some(SinkFault::Terminal) => Err(SinkError::terminal("write", "the backend refused this write for good")),
            Some(SinkFault::Stall) => std::future::pending().await,
            #[expect(clippy::panic, reason = "that is the fault")]
            Some(SinkFault::Panic) => panic!("a planned panic"),
        }
    }
}

fn lost_ack() -> SinkError {
    SinkError::transient("write", "the answer of the backend was lost").maybe_landed()
}

#[async_trait]
impl<S: RowSink> RowSink for Faulty<S> {
    async fn held(&self, cycle: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<ReadBack, SinkError> {
        self.inner.held(cycle, each).await
    }

    async fn apply(&self, cycle: &Cycle<'_>, batch: RowBatch) -> Result<Receipt, SinkError> {
        let fault = self.faults.next();
        self.fail(fault).await?;
        let receipt = self.inner.apply(cycle, batch).await?;
        if fault == Some(SinkFault::LostAck) { Err(lost_ack()) } else { Ok(receipt) }
    }

    async fn intact(&self, cycle: &Cycle<'_>) -> Result<bool, SinkError> {
        self.inner.intact(cycle).await
    }

    async fn forget(&self, cycle: &Cycle<'_>) -> Result<Receipt, SinkError> {
        self.fail(self.faults.next()).await?;
        self.inner.forget(cycle).await
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        self.inner.probe(cancel).await
    }
}

#[async_trait]
impl<S: FileSink> FileSink for Faulty<S> {
    fn lane(&self) -> String {
        self.inner.lane()
    }

    async fn held(
        &self,
        cycle: &Cycle<'_>,
        record: &str,
        each: &mut (dyn FnMut(HeldFile) + Send),
    ) -> Result<ReadBack, SinkError> {
        self.inner.held(cycle, record, each).await
    }

    async fn read(&self, cycle: &Cycle<'_>, record: &str, path: &str) -> Result<Option<Vec<u8>>, SinkError> {
        self.inner.read(cycle, record, path).await
    }

    /// One fault per batch; a stall stalls the whole lane.
    async fn apply(&self, lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>> {
        let mut results = Vec::with_capacity(lane.len());
        for one in lane {
            let fault = self.faults.next();
            let result = match self.fail(fault).await {
                Err(error) => Err(error),
                Ok(()) => match self.inner.apply(vec![one]).await.pop() {
                    Some(Ok(_)) if fault == Some(SinkFault::LostAck) => Err(lost_ack()),
                    Some(result) => result,
                    None => Err(SinkError::transient("write", "no answer for the batch").maybe_landed()),
                },
            };
            results.push(result);
        }
        results
    }

    async fn forget(&self, cycle: &Cycle<'_>, batch: FileBatch) -> Result<Receipt, SinkError> {
        self.fail(self.faults.next()).await?;
        self.inner.forget(cycle, batch).await
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        self.inner.probe(cancel).await
    }
}
