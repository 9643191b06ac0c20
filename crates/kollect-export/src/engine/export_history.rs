//! What is known of the past exports of a binding: the part of its status that its machine does not hold.

use crate::binding::Binding;
use crate::binding::file_cycle::LeftOutChange;
use crate::clock::Clock;
use crate::contract::error::SinkError;
use crate::contract::receipt::Rejected;
use crate::engine::cycle_totals::{CycleTotals, MOST_REJECTED};
use crate::layout::LeftOut;
use kollect_model::RowId;
use kollect_store::Store;
use std::collections::{BTreeMap, HashSet};
use std::time::SystemTime;

/// Results of past cycles.
#[derive(Debug, Default)]
pub(crate) struct ExportHistory {
    pub(crate) last_export: Option<SystemTime>,
    pub(crate) checksum: Option<String>,
    /// The last export was a whole document.
    pub(crate) document: bool,
    pub(crate) rows: u64,
    pub(crate) rejected: BTreeMap<RowId, String>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) revision: Option<String>,
    /// The latest error, and when the first of an unbroken series occurred.
    pub(crate) failure: Option<(SinkError, SystemTime)>,
    /// Why the next cycle cannot start.
    pub(crate) waiting: Option<String>,
}

impl ExportHistory {
    pub(crate) fn failed(&mut self, error: &SinkError, now: SystemTime) {
        let since = self.failure.take().map_or(now, |(_, since)| since);
        self.failure = Some((error.clone(), since));
        self.waiting = None;
    }

    /// Whether the cycle changes the set of rows without a file.
    pub(crate) fn changes_left_out(&self, totals: &CycleTotals) -> bool {
        match &totals.left_out {
            LeftOutChange::All(rows) => *rows != self.left_out,
            LeftOutChange::Gone(ids) => self.left_out.iter().any(|row| ids.contains(&row.id)),
        }
    }

    /// Rows that are recorded as rejected.
    pub(crate) fn rejected_ids(&self) -> HashSet<RowId> {
        self.rejected.keys().cloned().collect()
    }

    pub(crate) fn succeeded(
        &mut self,
        store: &Store,
        binding: &Binding,
        totals: &CycleTotals,
        touched: bool,
        clock: &Clock,
    ) {
        self.failure = None;
        self.waiting = None;
        self.update_rejected(totals);
        match &totals.left_out {
            LeftOutChange::All(rows) => self.left_out.clone_from(rows),
            LeftOutChange::Gone(ids) => self.left_out.retain(|row| !ids.contains(&row.id)),
        }
        if !touched && self.last_export.is_some() {
            return;
        }
        self.last_export = Some(clock.wall());
        if let Some(revision) = &totals.receipt.revision {
            self.revision = Some(revision.clone());
        }
        self.document = totals.checksum.is_some();
        self.rows = store.counts(binding.view());
        let checksum = totals.checksum.clone();
        self.checksum = Some(checksum.unwrap_or_else(|| store.checksum(binding.view()).to_string()));
    }

    fn update_rejected(&mut self, totals: &CycleTotals) {
        if totals.compared {
            self.rejected.clear();
        }
        for id in &totals.accepted {
            self.rejected.remove(id);
        }
        for Rejected { id, why } in &totals.receipt.rejected {
            if self.rejected.len() < MOST_REJECTED {
                self.rejected.insert(id.clone(), why.clone());
            }
        }
    }
}
