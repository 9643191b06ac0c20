//! Named points where a test can end the process as `kill -9` would.
//!
//! In builds without debug assertions they do nothing.

/// Ends the process at once if `KOLLECT_KILL_AT` names this point (`name` or `name:n` for the n-th passage).
#[cfg(debug_assertions)]
pub fn kill_point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("KOLLECT_KILL_AT").ok()?;
        Some(match text.split_once(':') {
            Some((name, nth)) => (name.to_owned(), nth.parse().unwrap_or(1)),
            None => (text, 1),
        })
    });
    if let Some((wanted, nth)) = wanted
        && wanted == name
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        std::process::abort();
    }
}

/// Ends the process at once in test builds; nothing here.
#[cfg(not(debug_assertions))]
pub fn kill_point(_name: &str) {}
