//! Lists and watches that have failed for so long that they are a fault of the target. Pure: time is a value.

use kollect_resources::kinds::NamespacedName;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Shorter failures are everyday: an API server restarts, a load balancer moves.
const PATIENCE: Duration = Duration::from_mins(2);

/// The state of a target's lists and watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// None fails.
    Fine,
    /// One fails, and is a fault from this time on.
    Early(Instant),
    /// One has failed for too long; `new` in the first report of it.
    Failing { new: bool },
}

/// The targets of which a list or watch fails, and since when.
#[derive(Debug, Default)]
pub(super) struct FailingLists(HashMap<NamespacedName, (Instant, bool)>);

impl FailingLists {
    /// The state now, given whether a list or watch fails.
    pub(super) fn observe(&mut self, target: &NamespacedName, fails: bool, now: Instant) -> Listing {
        if !fails {
            self.0.remove(target);
            return Listing::Fine;
        }
        let (since, known) = self.0.entry(target.clone()).or_insert((now, false));
        let due = *since + PATIENCE;
        if now < due {
            return Listing::Early(due);
        }
        Listing::Failing { new: !std::mem::replace(known, true) }
    }

    /// Forgets a target that does not exist any more.
    pub(super) fn forget(&mut self, target: &NamespacedName) {
        self.0.remove(target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_fails_for_minutes_is_a_fault_and_a_short_failure_is_none() {
        let (mut lists, start) = (FailingLists::default(), Instant::now());
        let target = NamespacedName::new("team", "maps");
        assert_eq!(lists.observe(&target, true, start), Listing::Early(start + PATIENCE));
        assert_eq!(lists.observe(&target, false, start + PATIENCE), Listing::Fine);
        let again = start + PATIENCE;
        assert_eq!(lists.observe(&target, true, again), Listing::Early(again + PATIENCE));
        assert_eq!(lists.observe(&target, true, again + PATIENCE / 2), Listing::Early(again + PATIENCE));
        assert_eq!(lists.observe(&target, true, again + PATIENCE), Listing::Failing { new: true });
        assert_eq!(lists.observe(&target, true, again + PATIENCE * 9), Listing::Failing { new: false });
        assert_eq!(lists.observe(&target, false, again + PATIENCE * 9), Listing::Fine);
    }
}
