//! The walk over the faults of a network, alike for rows and files.
//!
//! It decides where the network breaks. A healthy export is measured first, so that the
//! faults hit every part of it, whatever the transport: the handshake, each exchange, and the answer to the last one.

use super::drive::CycleParts;
use super::row_cases::transient;
use crate::fault_proxy::{TcpFault, TcpProxy, Trigger};
use anyhow::{Context as _, bail, ensure};
use kollect_export::{Landed, SinkError};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long a cycle may take to come back, cancelled or not.
const DEADLINE: Duration = Duration::from_secs(15);
/// How long a server may take to make what it has received.
const SERVER_PATIENCE: Duration = Duration::from_secs(1);
const STALLED_FOR: Duration = Duration::from_millis(500);
/// Places where a connection is reset while the server answers.
const RESETS: u64 = 5;
/// Places from which on the next answer is lost …
const LOST_ANSWERS: u64 = 8;
/// … and turns around the last one, where the request may be short that makes everything durable. The handshake of TLS
/// takes some more or less, as its parts happen to arrive.
const EARLIER_TURNS: u64 = 12;
const LATER_TURNS: u64 = 3;
/// Number of the first change. Later ones have as many digits, so that every export moves as many bytes.
pub(super) const FIRST: u32 = 1_000;

/// What is exported through the proxy.
#[async_trait::async_trait]
pub(super) trait Walked: Send {
    /// Where the backend listens.
    fn address(&self) -> SocketAddr;
    /// Takes a new sink object that connects to this loopback port.
    async fn connect(&mut self, port: u16) -> anyhow::Result<()>;
    /// Wants one thing more, one changed and one less, and remembers what was wanted before.
    fn change(&mut self, n: u32) -> anyhow::Result<()>;
    fn parts(&mut self) -> &mut CycleParts;
    async fn export(&mut self) -> Result<(), SinkError>;
    /// Fails unless the backend holds what is wanted.
    async fn check(&mut self) -> anyhow::Result<()>;
    /// Wants what was wanted before the last change, and the other way round.
    fn swap_with_before(&mut self);
}

/// What the faults did.
#[derive(Default)]
struct Tally {
    faults: usize,
    /// Exports that failed.
    felt: usize,
    /// Of these, exports whose changes were made all the same.
    landed: usize,
}

pub(super) async fn walk(subject: &mut dyn Walked) -> anyhow::Result<()> {
    let proxy = TcpProxy::start(subject.address()).await?;
    subject.connect(proxy.port()).await?;
    subject.export().await.context("the first export through the proxy")?;
    let faults = measure(subject, &proxy).await.context("a healthy export through the proxy")?.faults();
    let mut tally = Tally { faults: faults.len(), ..Tally::default() };
    for (n, fault) in (FIRST + 1..).zip(faults) {
        one_fault(subject, &proxy, n, &fault, &mut tally).await.with_context(|| format!("{fault:?}"))?;
    }
    tally.judge()
}

impl Tally {
    /// A walk that missed the exports proves nothing.
    fn judge(&self) -> anyhow::Result<()> {
        let Self { faults, felt, landed } = self;
        ensure!(
            felt * 2 >= *faults,
            "only {felt} of {faults} faults made an export fail: does the sink use the proxy?"
        );
        ensure!(*landed > 0, "{felt} of {faults} exports failed, but none after its changes were made");
        Ok(())
    }
}

async fn one_fault(
    subject: &mut dyn Walked,
    proxy: &TcpProxy,
    n: u32,
    fault: &TcpFault,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    subject.connect(proxy.port()).await?;
    subject.change(n)?;
    proxy.set(fault.clone());
    let cancel = subject.parts().cancel_after((*fault == TcpFault::Stall).then_some(STALLED_FOR));
    let outcome = tokio::time::timeout(DEADLINE, subject.export()).await;
    cancel.abort();
    subject.parts().renew();
    proxy.heal();
    proxy.reset_all();
    if let Err(error) = outcome.context("the sink does not come back")? {
        transient(&error)?;
        tally.felt += 1;
        tally.landed += usize::from(has_landed(subject, fault, tally).await);
        if error.landed == Landed::No {
            subject.swap_with_before();
            subject.check().await.with_context(|| format!("`Landed::No` was wrong of {error}"))?;
            subject.swap_with_before();
        }
    }
    converge(subject).await.context("afterwards")
}

/// Whether the changes were made although the export failed. A server on a busy machine may be at it still, so as long as
/// none was seen, it gets some time after each answer that was lost.
async fn has_landed(subject: &mut dyn Walked, fault: &TcpFault, tally: &Tally) -> bool {
    let patience =
        if tally.landed == 0 && matches!(fault, TcpFault::DropAnswer(_)) { SERVER_PATIENCE } else { Duration::ZERO };
    let since = Instant::now();
    loop {
        if subject.check().await.is_ok() {
            return true;
        }
        if since.elapsed() >= patience {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn converge(subject: &mut dyn Walked) -> anyhow::Result<()> {
    for _ in 0..5 {
        match subject.export().await {
            Ok(()) => return subject.check().await,
            Err(error) => transient(&error)?,
        }
    }
    bail!("the sink did not recover with its network")
}

/// Bytes of an export without faults. A range for every connection that goes further than those before it: a fault at a
/// byte of the range spares the earlier connections and hits this one.
struct Healthy {
    sent: Vec<Range<u64>>,
    received: Vec<Range<u64>>,
    /// Turns of each connection.
    turns: Vec<u64>,
}

async fn measure(subject: &mut dyn Walked, proxy: &TcpProxy) -> anyhow::Result<Healthy> {
    let earlier = proxy.connections().len();
    subject.connect(proxy.port()).await?;
    subject.change(FIRST)?;
    subject.export().await?;
    let used = proxy.connections().split_off(earlier);
    ensure!(!used.is_empty(), "it opened no connection to the proxy");
    subject.check().await?;
    Ok(Healthy {
        sent: reached(used.iter().map(|connection| connection.sent)),
        received: reached(used.iter().map(|connection| connection.received)),
        turns: used.iter().map(|connection| connection.turns).collect(),
    })
}

fn reached(sizes: impl Iterator<Item = u64>) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    let mut furthest = 0;
    for size in sizes.filter(|size| *size > 0) {
        if size > furthest {
            ranges.push(furthest..size);
            furthest = size;
        }
    }
    ranges
}

/// About `count` places, evenly in every range, with its end and without its start.
fn spread(ranges: &[Range<u64>], count: u64) -> BTreeSet<u64> {
    let each = count.div_ceil(ranges.len().max(1) as u64);
    ranges.iter().flat_map(|r| (1..=each).map(move |step| r.start + (r.end - r.start) * step / each)).collect()
}

impl Healthy {
    fn faults(&self) -> Vec<TcpFault> {
        let mut faults = vec![TcpFault::Latency(Duration::from_millis(30)), TcpFault::Refuse, TcpFault::Stall];
        let mut resets = spread(&self.received, RESETS);
        resets.insert(0);
        faults.extend(resets.into_iter().map(TcpFault::ResetAfter));
        let answers = spread(&self.sent, LOST_ANSWERS).into_iter().map(Trigger::ClientBytes);
        let around = |last: &u64| last.saturating_sub(EARLIER_TURNS).max(1)..=last + LATER_TURNS;
        let turns: BTreeSet<u64> = self.turns.iter().flat_map(around).collect();
        faults.extend(answers.chain(turns.into_iter().map(Trigger::Turn)).map(TcpFault::DropAnswer));
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_spread_over_what_each_connection_adds() {
        let ranges = reached([100, 0, 80, 300].into_iter());
        assert_eq!(ranges, [0..100, 100..300]);
        assert_eq!(spread(&ranges, 4), [50, 100, 200, 300].into());
        assert_eq!(spread(&[], 4), BTreeSet::new());
    }
}
