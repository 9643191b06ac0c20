//! Memory sinks that fail as the step of the simulation decides.

use async_trait::async_trait;
use fastrand::Rng;
use futures_util::FutureExt as _;
use kollect_export::testing::{MemoryFiles, MemoryRows};
use kollect_export::{
    Cycle, CycleError, FileBatch, FileSink, HeldFile, HeldRow, Probe, ReadBack, Receipt, RowBatch, RowSink, SinkError,
};
use parking_lot::Mutex;
use std::future::Future;
use tokio_util::sync::CancellationToken;

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SimFault {
    /// Nothing landed. The only fault of a read.
    NothingLanded,
    /// Half of the rows landed, and the acknowledgement was lost.
    HalfLanded,
    /// Everything landed, and the acknowledgement was lost.
    AllLanded,
    /// Refused until the backend changes.
    Refused,
}

impl SimFault {
    pub(super) fn draw(random: &mut Rng) -> Option<Self> {
        const ALL: [SimFault; 4] =
            [SimFault::NothingLanded, SimFault::HalfLanded, SimFault::AllLanded, SimFault::Refused];
        (random.u8(..6) == 0).then(|| ALL[random.usize(..ALL.len())])
    }

    fn error(self) -> SinkError {
        match self {
            Self::NothingLanded => down(),
            Self::HalfLanded | Self::AllLanded => down().maybe_landed(),
            Self::Refused => SinkError::terminal("write", "simulated refusal"),
        }
    }
}

/// A memory sink and the fault of the current step.
#[derive(Debug)]
pub(super) struct FaultySink<S> {
    pub(super) memory: S,
    pub(super) fault: Mutex<Option<SimFault>>,
    /// Planted bug: a failed write is acknowledged, and its error is kept here.
    acknowledges_early: bool,
    pub(super) withheld: Mutex<Option<SinkError>>,
}

impl<S> FaultySink<S> {
    pub(super) fn new(memory: S, acknowledges_early: bool) -> Self {
        Self { memory, fault: Mutex::default(), acknowledges_early, withheld: Mutex::default() }
    }

    fn read(&self) -> Result<(), SinkError> {
        if *self.fault.lock() == Some(SimFault::NothingLanded) { Err(down()) } else { Ok(()) }
    }
}

#[async_trait]
impl RowSink for FaultySink<MemoryRows> {
    async fn held(&self, cycle: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<ReadBack, SinkError> {
        self.read()?;
        self.memory.held(cycle, each).await
    }

    async fn apply(&self, cycle: &Cycle<'_>, mut batch: RowBatch) -> Result<Receipt, SinkError> {
        let Some(fault) = *self.fault.lock() else { return self.memory.apply(cycle, batch).await };
        if fault == SimFault::HalfLanded {
            batch.changes = batch.changes.into_iter().step_by(2).collect();
        }
        if matches!(fault, SimFault::HalfLanded | SimFault::AllLanded) {
            self.memory.apply(cycle, batch).await?;
        }
        if self.acknowledges_early {
            *self.withheld.lock() = Some(fault.error());
            return Ok(Receipt::default());
        }
        Err(fault.error())
    }

    async fn intact(&self, cycle: &Cycle<'_>) -> Result<bool, SinkError> {
        self.memory.intact(cycle).await
    }

    async fn forget(&self, cycle: &Cycle<'_>) -> Result<Receipt, SinkError> {
        RowSink::forget(&self.memory, cycle).await
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        RowSink::probe(&self.memory, cancel).await
    }
}

#[async_trait]
impl FileSink for FaultySink<MemoryFiles> {
    fn lane(&self) -> String {
        self.memory.lane()
    }

    async fn held(
        &self,
        cycle: &Cycle<'_>,
        record: &str,
        each: &mut (dyn FnMut(HeldFile) + Send),
    ) -> Result<ReadBack, SinkError> {
        self.read()?;
        self.memory.held(cycle, record, each).await
    }

    async fn read(&self, cycle: &Cycle<'_>, record: &str, path: &str) -> Result<Option<Vec<u8>>, SinkError> {
        self.read()?;
        self.memory.read(cycle, record, path).await
    }

    async fn apply(&self, lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>> {
        let fault = *self.fault.lock();
        if let Some(fault @ (SimFault::NothingLanded | SimFault::Refused)) = fault {
            return vec![Err(fault.error())];
        }
        let mut results = self.memory.apply(lane).await;
        if let Some(fault) = fault {
            for result in &mut results {
                *result = result.clone().and(Err(fault.error()));
            }
        }
        results
    }

    async fn forget(&self, cycle: &Cycle<'_>, batch: FileBatch) -> Result<Receipt, SinkError> {
        self.memory.forget(cycle, batch).await
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        self.memory.probe(cancel).await
    }
}

/// The result of a request to a memory sink, which is ready at once.
pub(super) fn at_once<T>(work: impl Future<Output = Result<T, CycleError>>) -> Result<T, CycleError> {
    work.now_or_never().unwrap_or_else(|| Err(CycleError::Failed(down())))
}

fn down() -> SinkError {
    SinkError::transient("write", "simulated failure")
}
