//! What a target adds to the row gauges, which several targets may share.

use crate::metrics::{Metrics, ProfileGvk};

/// The rows of one target as the gauges have them.
#[derive(Debug, Default)]
pub(super) struct RowGauge(Option<(ProfileGvk, i64)>);

impl RowGauge {
    /// Replaces what the target adds. Returns whether the number differs from the one before.
    pub(super) fn set(&mut self, metrics: &Metrics, now: Option<(ProfileGvk, u64)>) -> bool {
        let now = now.map(|(labels, rows)| (labels, i64::try_from(rows).unwrap_or(i64::MAX)));
        let before = std::mem::replace(&mut self.0, now);
        let rows = |counted: &Option<(_, i64)>| counted.as_ref().map(|(_, rows)| *rows);
        let changed = rows(&before) != rows(&self.0);
        if let Some((labels, rows)) = before {
            metrics.collected_objects.get_or_create(&labels).dec_by(rows);
            metrics.collect_items.dec_by(rows);
        }
        if let Some((labels, rows)) = &self.0 {
            metrics.collected_objects.get_or_create(labels).inc_by(*rows);
            metrics.collect_items.inc_by(*rows);
        }
        changed
    }
}
