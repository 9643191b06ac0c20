//! Shared strings for the few values that repeat in many rows (namespaces, kinds).

use std::collections::HashSet;
use std::sync::Arc;

/// Returns one shared allocation per distinct string.
///
/// Entries without another owner are dropped when the table has doubled since the last sweep, so short-lived namespaces do
/// not accumulate.
#[derive(Debug, Default)]
pub struct Interner {
    strings: HashSet<Arc<str>>,
    sweep_at: usize,
}

impl Interner {
    /// The shared copy of `text`.
    pub fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.strings.get(text) {
            return shared.clone();
        }
        if self.strings.len() >= self.sweep_at.max(64) {
            self.strings.retain(|s| Arc::strong_count(s) > 1);
            self.sweep_at = self.strings.len() * 2;
        }
        let shared: Arc<str> = text.into();
        self.strings.insert(shared.clone());
        shared
    }
}
