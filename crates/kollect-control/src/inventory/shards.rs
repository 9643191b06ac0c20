//! How many rows a cluster inventory has in each namespace, for its status.
//!
//! Counting reads all namespaces, so it is done at most once per status period.

use crate::inventory::selection::Selection;
use crate::shared::status::QUIET_PERIOD;
use kollect_api::NamespaceShard;
use kollect_store::{NamespaceFilter, Store, View};
use tokio::time::Instant;

/// Most namespaces that a status lists.
const LISTED: usize = 1000;

/// The newest count.
#[derive(Debug, Default)]
pub(super) struct Shards {
    counted: Option<Instant>,
    listed: Vec<NamespaceShard>,
    namespaces: usize,
}

impl Shards {
    /// The namespaces with rows, by name, and how many there are; and when to count again, if changes may be missing.
    pub(super) fn of(&mut self, store: &Store, selection: &Selection) -> (&[NamespaceShard], usize, Option<Instant>) {
        let now = Instant::now();
        let again = self.counted.map(|counted| counted + QUIET_PERIOD).filter(|again| *again > now);
        // The first rows are counted at once.
        let again = again.filter(|_| self.namespaces > 0);
        if again.is_none() {
            self.count(store, selection);
            self.counted = Some(now);
        }
        (&self.listed, self.namespaces, again)
    }

    fn count(&mut self, store: &Store, selection: &Selection) {
        self.listed.clear();
        self.namespaces = 0;
        for (namespace, targets) in &selection.by_namespace {
            let view = View::new(targets.clone(), NamespaceFilter::All, selection.view.dedupe);
            let rows = store.counts(&view);
            if rows == 0 {
                continue;
            }
            self.namespaces += 1;
            if self.listed.len() < LISTED {
                let contributing = targets.iter().filter(|target| store.target_rows(target) > 0).count();
                self.listed.push(NamespaceShard {
                    namespace: namespace.to_string(),
                    item_count: i64::try_from(rows).ok(),
                    target_count: i64::try_from(contributing).ok(),
                    checksum: Some(store.checksum(&view).to_string()),
                });
            }
        }
    }
}
