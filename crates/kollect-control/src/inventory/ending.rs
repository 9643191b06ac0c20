//! How one binding ends: whether its data goes with it, how long that may wait, and how often it is tried.

use kollect_export::{BindingSpec, Class, DataOverlap, Exporter, Receipt, Removal, SinkError, data_overlap};
use kollect_model::Backoff;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_mins(1);
/// After this many transient failures a deletion goes on without the clean-up.
const ATTEMPTS: u32 = 8;
/// A clean-up waits this long for a sink whose Secrets are being read, then goes on without it.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// Clean-ups that wait for their sink, by binding, with the time of the first attempt.
#[derive(Debug, Default)]
pub(super) struct Postponed(BTreeMap<String, Instant>);

impl Postponed {
    /// Until when the binding may wait; `None` when it has waited long enough.
    pub(super) fn until(&mut self, name: &str, now: Instant) -> Option<Instant> {
        let until = *self.0.entry(name.to_owned()).or_insert(now) + LONGEST_WAIT;
        (until > now).then_some(until)
    }

    /// The binding's clean-up begins or is given up.
    pub(super) fn done(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Forgets the bindings of which `waits` is false: their references are back.
    pub(super) fn retain(&mut self, waits: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| waits(name));
    }

    /// Whether the clean-up of the binding waits.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// What the end of a binding does with its rows: a binding of the same inventory that stays may own them as well.
pub(super) fn removal(ends: &BindingSpec, stay: &[BindingSpec]) -> Removal {
    if stay.iter().any(|other| data_overlap(ends, other) == DataOverlap::Rows) {
        Removal::Leave
    } else {
        Removal::Forget
    }
}

/// Removes a binding with or without its data. The first attempt begins before this returns.
pub(super) fn remove(
    exporter: Arc<Exporter>,
    spec: BindingSpec,
    removal: Removal,
) -> impl Future<Output = Result<(), SinkError>> + Send {
    let mut attempt = begin_removal(&exporter, &spec, removal);
    async move {
        let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
        for _ in 1..ATTEMPTS {
            match attempt.await {
                Err(error) if matches!(error.class, Class::Transient { .. }) => {
                    tracing::warn!(binding = %spec.id, %error, error_class = "transient", "cleanup failed; trying again");
                }
                ended => return ended.map(drop),
            }
            tokio::time::sleep(backoff.next(fastrand::f64())).await;
            attempt = begin_removal(&exporter, &spec, removal);
        }
        attempt.await.map(drop)
    }
}

fn begin_removal(
    exporter: &Arc<Exporter>,
    spec: &BindingSpec,
    removal: Removal,
) -> Pin<Box<dyn Future<Output = Result<Receipt, SinkError>> + Send>> {
    if removal == Removal::Forget && exporter.status(&spec.id).is_none() {
        exporter.set_binding(spec.clone());
    }
    Box::pin(exporter.remove_binding(&spec.id, removal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kollect_export::Sink;
    use kollect_export::testing::MemoryRows;
    use kollect_export::{BindingId, Family, InventoryKey, SinkKey};
    use kollect_store::View;

    fn binding(sink: &str, destination: &str) -> BindingSpec {
        let inventory = InventoryKey { namespace: "team".into(), name: "all".into() };
        let sink = SinkKey { family: Family::Database, namespace: "team".into(), name: sink.into() };
        BindingSpec {
            id: BindingId { inventory, sink },
            view: View::of(Vec::new()),
            sink: Sink::Rows(Arc::new(MemoryRows::default())),
            min_interval: Duration::ZERO,
            config_version: 0,
            document: None,
            cluster: "east".into(),
            sink_type: "postgres",
            destination: destination.to_owned(),
        }
    }

    #[test]
    fn rows_that_another_reference_of_the_inventory_writes_as_well_are_left() {
        let (ends, same, other) = (binding("pg", "t"), binding("pg2", "t"), binding("pg3", "u"));
        assert_eq!(removal(&ends, &[other.clone(), same.clone()]), Removal::Leave);
        assert_eq!(removal(&ends, &[other]), Removal::Forget);
        assert_eq!(removal(&ends, &[]), Removal::Forget);
        assert_eq!(removal(&ends, &[BindingSpec { cluster: "west".into(), ..same }]), Removal::Forget);
    }

    #[test]
    fn a_clean_up_waits_for_its_sink_and_not_for_ever() {
        let (mut postponed, start) = (Postponed::default(), Instant::now());
        assert_eq!(postponed.until("database/pg", start), Some(start + LONGEST_WAIT));
        let later = start + LONGEST_WAIT / 2;
        assert_eq!(postponed.until("database/pg", later), Some(start + LONGEST_WAIT), "from the first attempt on");
        assert!(postponed.contains("database/pg"));
        assert_eq!(postponed.until("database/pg", start + LONGEST_WAIT), None);
        postponed.retain(|_| false);
        assert!(!postponed.contains("database/pg"), "the reference is back");
    }
}
