//! Sinks that fail on command, around any other sink: for tests and the simulation.

use crate::{Cycle, FileBatch, FileSink, HeldFile, HeldRow, Knowledge, Probe, Receipt, RowBatch, RowSink, SinkError};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How one write goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Transient, and nothing landed.
    Before,
    /// Everything landed, and the answer is an error that says it may have.
    LostAck,
    /// Never answers, until it is cancelled or dropped.
    Stall,
    /// Refused for good, and nothing landed.
    Terminal,
    /// Panics.
    Panic,
}

/// Faults to come, one per write, oldest first.
#[derive(Debug, Default)]
pub struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    /// The next writes go wrong like this.
    pub fn plan(&self, faults: &[Fault]) {
        self.0.lock().extend(faults);
    }

    /// Fault of this write, if any.
    pub fn next(&self) -> Option<Fault> {
        self.0.lock().pop_front()
    }
}

/// A sink with faults in front of it.
#[derive(Debug)]
pub struct Faulty<S> {
    inner: Arc<S>,
    /// What goes wrong next.
    pub faults: Faults,
}

impl<S> Faulty<S> {
    /// Wraps a sink. Without planned faults it behaves like it.
    pub fn new(inner: Arc<S>) -> Self {
        Self { inner, faults: Faults::default() }
    }

    /// Everything but [`Fault::LostAck`], which has to write first.
    async fn fail(&self, fault: Option<Fault>) -> Result<(), SinkError> {
        match fault {
            None | Some(Fault::LostAck) => Ok(()),
            Some(Fault::Before) => Err(SinkError::transient("write", "the backend was down for this write")),
            Some(Fault::Terminal) => Err(SinkError::terminal("write", "the backend refused this write for good")),
            Some(Fault::Stall) => std::future::pending().await,
            #[expect(clippy::panic, reason = "that is the fault")]
            Some(Fault::Panic) => panic!("a planned panic"),
        }
    }
}

fn lost_ack() -> SinkError {
    SinkError::transient("write", "the answer of the backend was lost").maybe_landed()
}

#[async_trait]
impl<S: RowSink> RowSink for Faulty<S> {
    async fn held(&self, cycle: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<Knowledge, SinkError> {
        self.inner.held(cycle, each).await
    }

    async fn apply(&self, cycle: &Cycle<'_>, batch: RowBatch) -> Result<Receipt, SinkError> {
        let fault = self.faults.next();
        self.fail(fault).await?;
        let receipt = self.inner.apply(cycle, batch).await?;
        if fault == Some(Fault::LostAck) { Err(lost_ack()) } else { Ok(receipt) }
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
    ) -> Result<Knowledge, SinkError> {
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
                    Some(Ok(_)) if fault == Some(Fault::LostAck) => Err(lost_ack()),
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
