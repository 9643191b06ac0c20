//! The answer of `/readyz` on a standby, a replica that starts to lead, and a leader.

use kollect_admission::certs::Serving;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How far a replica has come. Ready stays ready: a target that is added later must not take the webhook away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Another replica leads, or none yet.
    Standby,
    /// It leads and reads the Kollect objects and the namespaces.
    Reading,
    /// It leads and lists what the targets collect for the first time.
    Listing,
    /// Every list is complete, or the status of its target has the reason.
    Leading,
}

/// The phase of this process, shared by its tasks.
#[derive(Clone, Debug)]
pub(crate) struct Phases(Arc<AtomicU8>);

impl Phases {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU8::new(Phase::Standby as u8)))
    }

    pub(crate) fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    fn ready(&self) -> Result<String, String> {
        const STANDBY: u8 = Phase::Standby as u8;
        const READING: u8 = Phase::Reading as u8;
        const LISTING: u8 = Phase::Listing as u8;
        match self.0.load(Ordering::Relaxed) {
            STANDBY => Ok("standby".to_owned()),
            READING => Err("reading the Kollect objects and the namespaces".to_owned()),
            LISTING => Err("listing what the targets collect for the first time".to_owned()),
            _ => Ok("leading".to_owned()),
        }
    }
}

/// Ready means: this replica's part of the work can be relied on, and so can its webhook where it serves one.
pub(crate) fn readiness(phases: Phases, webhook: Option<Arc<Serving>>) -> crate::http::Ready {
    Arc::new(move || {
        webhook.as_ref().map_or(Ok(()), |serving| serving.ready())?;
        phases.ready()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_and_a_leader_with_complete_lists_are_ready_and_nothing_in_between() {
        let phases = Phases::new();
        assert!(phases.ready().is_ok());
        for (phase, ready) in [(Phase::Reading, false), (Phase::Listing, false), (Phase::Leading, true)] {
            phases.set(phase);
            assert_eq!(phases.ready().is_ok(), ready, "{phase:?}: {:?}", phases.ready());
        }
    }
}
