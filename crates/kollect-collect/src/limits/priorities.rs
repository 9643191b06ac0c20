//! Moves targets with expensive expressions to low priority: a worker with lower scheduling priority, and a queue and
//! watches of its own, so that no tenant's expressions delay another tenant's rows.
//!
//! The allowance is per tenant, over all its targets, so that splitting a target gains nothing.

use crate::desired::Desired;
use crate::plan::Priority;
use crate::targets::spec::TargetSpec;
use kollect_model::{TargetKey, TargetScope};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

/// Evaluations up to so many steps are free: a hundred times a common object, less than a millisecond.
const CHEAP: u64 = 4_000;
/// Steps that a tenant may spend at once: about 150 ms of processor time.
const BURST: u64 = 1_000_000;
/// Steps that a tenant regains per second: about 15 ms of processor time.
const PER_SECOND: u64 = 100_000;

/// A namespace with targets, or a cluster target.
type Tenant = (TargetScope, Arc<str>);

struct Allowance {
    left: u64,
    at: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { left: BURST, at: now }
    }

    /// Whether the allowance covered the steps.
    fn spend(&mut self, steps: u64, now: Instant) -> bool {
        let since = u64::try_from(now.saturating_duration_since(self.at).as_millis()).unwrap_or(u64::MAX);
        let earned = since.saturating_mul(PER_SECOND) / 1000;
        if earned > 0 {
            self.at = now;
        }
        let have = self.left.saturating_add(earned).min(BURST);
        self.left = have.saturating_sub(steps);
        have >= steps
    }
}

#[derive(Default)]
struct Known {
    allowances: HashMap<Tenant, Allowance>,
    low: HashSet<Arc<TargetKey>>,
}

/// The priorities of all targets. A target that was expensive stays at low priority for the life of the process.
pub(crate) struct Priorities {
    desired: Arc<Desired>,
    known: Mutex<Known>,
}

impl Priorities {
    pub(crate) fn new(desired: Arc<Desired>) -> Self {
        Self { desired, known: Mutex::default() }
    }

    pub(crate) fn of(&self, key: &TargetKey) -> Priority {
        if self.known.lock().low.contains(key) { Priority::Low } else { Priority::Normal }
    }

    /// Charges the evaluation of one object to its target. Wakes the planner when that exceeds the allowance.
    pub(crate) fn spent(&self, key: &Arc<TargetKey>, steps: u64) {
        if steps > CHEAP && self.charge(key, steps, Instant::now()) {
            tracing::warn!(
                target = %key, steps,
                "the expressions of the target are expensive, so it is collected at low priority from now on"
            );
            self.desired.wake.notify_one();
        }
    }

    /// Returns whether this moved the target to low priority.
    fn charge(&self, key: &Arc<TargetKey>, steps: u64, now: Instant) -> bool {
        let mut known = self.known.lock();
        if known.low.contains(key) {
            return false;
        }
        let allowance = known.allowances.entry(tenant_of(key)).or_insert_with(|| Allowance::new(now));
        !allowance.spend(steps, now) && known.low.insert(key.clone())
    }

    /// Forgets targets that are gone.
    pub(crate) fn keep(&self, specs: &[TargetSpec]) {
        let mut known = self.known.lock();
        if known.allowances.is_empty() {
            return;
        }
        let keys: HashSet<&Arc<TargetKey>> = specs.iter().map(|spec| &spec.key).collect();
        let tenants: HashSet<Tenant> = keys.iter().map(|key| tenant_of(key)).collect();
        known.low.retain(|key| keys.contains(key));
        known.allowances.retain(|tenant, _| tenants.contains(tenant));
    }
}

fn tenant_of(key: &TargetKey) -> Tenant {
    match key.scope {
        TargetScope::Namespaced => (key.scope, key.namespace.clone()),
        // The namespace of its key is that of the objects.
        TargetScope::Cluster => (key.scope, key.name.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(namespace: &str, name: &str) -> Arc<TargetKey> {
        Arc::new(TargetKey::namespaced(namespace, name))
    }

    #[test]
    fn targets_of_one_namespace_spend_from_one_allowance() {
        let priorities = Priorities::new(Arc::default());
        let now = Instant::now();
        let (a, b, c) = (key("team", "a"), key("team", "b"), key("other", "c"));
        assert!(!priorities.charge(&a, BURST / 2, now) && !priorities.charge(&b, BURST / 2, now));
        assert!(!priorities.charge(&c, BURST / 2, now), "another tenant has its own");
        assert!(priorities.charge(&b, CHEAP + 1, now), "what is left is not enough");
        let of = |key: &TargetKey| priorities.of(key);
        assert_eq!([of(&a), of(&b), of(&c)], [Priority::Normal, Priority::Low, Priority::Normal]);
        assert!(!priorities.charge(&b, BURST, now), "it is reported once");
        assert!(!priorities.charge(&a, CHEAP + 1, now + Duration::from_secs(1)), "some of it comes back");
    }

    #[test]
    fn usual_objects_cost_nothing_however_many_there_are() {
        let priorities = Priorities::new(Arc::default());
        let a = key("team", "a");
        (0..10_000).for_each(|_| priorities.spent(&a, CHEAP));
        assert_eq!(priorities.of(&a), Priority::Normal);
        (0..10_000).for_each(|_| priorities.spent(&a, CHEAP + 1));
        assert_eq!(priorities.of(&a), Priority::Low);
    }

    #[test]
    fn an_allowance_is_earned_back_in_any_steps_of_time_and_never_beyond_its_size() {
        let start = Instant::now();
        let mut allowance = Allowance { left: 0, at: start };
        for millis in 1..=10_000_u64 {
            assert!(allowance.spend(PER_SECOND / 1000, start + Duration::from_millis(millis)), "{millis}");
        }
        let later = start + Duration::from_hours(1);
        assert!(allowance.spend(BURST, later) && !allowance.spend(1, later));
    }
}
