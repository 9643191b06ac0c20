//! Lists and watches that fail for so long that the target must say so. Pure: time comes in as a value.

use crate::control::Control;
use crate::kinds::ObjectRef;
use kollect_collect::TargetStatus;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Shorter failures are everyday: an API server restarts, a load balancer moves.
const PATIENCE: Duration = Duration::from_mins(2);

/// How the lists and watches of a target stand.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Listing {
    /// None fails.
    Fine,
    /// One fails, and counts as a fault from this time on.
    Early(Instant),
    /// One has failed for too long; `new` the first time that this is asked.
    Failing { new: bool },
}

/// The targets of which a list or watch fails, and since when.
#[derive(Debug, Default)]
pub(crate) struct FailingLists(HashMap<ObjectRef, (Instant, bool)>);

impl FailingLists {
    fn observe(&mut self, target: &ObjectRef, fails: bool, now: Instant) -> Listing {
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
    pub(crate) fn forget(&mut self, target: &ObjectRef) {
        self.0.remove(target);
    }
}

impl Control {
    /// Why a list or watch of the target has failed for minutes, if one has.
    pub(crate) fn long_list_error(&mut self, target: &ObjectRef, status: &TargetStatus) -> Option<String> {
        match self.failing_lists.observe(target, status.list_error.is_some(), Instant::now()) {
            Listing::Fine => None,
            Listing::Early(due) => {
                self.dirty.mark_at(target.clone(), due);
                None
            }
            Listing::Failing { new } => {
                if new {
                    self.count_error(target.kind, "transient");
                }
                let why = status.list_error.as_deref().unwrap_or_default();
                Some(format!("for more than 2 minutes: {why}; rows stay as they were last seen, and it is tried again"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{Kind, NamespacedName};

    #[test]
    fn a_list_that_fails_for_minutes_is_a_fault_and_a_short_failure_is_none() {
        let (mut lists, start) = (FailingLists::default(), Instant::now());
        let target = ObjectRef::new(Kind::Target, &NamespacedName::new("team", "maps"));
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
