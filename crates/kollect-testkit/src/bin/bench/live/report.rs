//! The numbers of `bench live`, with the names that scripts read.

use kollect_testkit::latency::Latency;
use kollect_testkit::operator::Usage;
use kollect_testkit::truth::Difference;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) objects: u32,
    pub(super) first_export_s: f64,
    pub(super) first_export_cpu_s: f64,
    pub(super) rss_mb: Memory,
    pub(super) api_requests: BTreeMap<String, u64>,
    pub(super) rows_written: u64,
    pub(super) bytes_exported: u64,
    pub(super) truth: Truth,
    pub(super) latency_ms: Latency,
    pub(super) delete_s: f64,
    pub(super) idle: Idle,
}

/// Memory in MiB.
#[derive(Debug, Default, Serialize)]
pub(super) struct Memory {
    steady: f64,
    peak: f64,
    anon: f64,
    file: f64,
    base: f64,
}

impl Memory {
    pub(super) fn of(steady: Usage, peak_kb: u64, base_kb: u64) -> Self {
        let mib = |kib: u64| kib as f64 / 1024.0;
        Self {
            steady: mib(steady.rss_kb),
            peak: mib(peak_kb),
            anon: mib(steady.anon_kb),
            file: mib(steady.file_kb),
            base: mib(base_kb),
        }
    }
}

/// Rows that differ from the API server, over all comparisons of the oracle.
#[derive(Debug, Default, Serialize)]
pub(super) struct Truth {
    missing: usize,
    extra: usize,
    stale: usize,
    doubled: usize,
}

impl Truth {
    pub(super) fn add(&mut self, difference: &Difference) {
        self.missing += difference.missing.len();
        self.extra += difference.extra.len();
        self.stale += difference.stale.len();
        self.doubled += difference.doubled.len();
    }
}

/// What happened while nothing was to be done.
#[derive(Debug, Default, Serialize)]
pub(super) struct Idle {
    pub(super) seconds: f64,
    pub(super) cpu_s: f64,
    pub(super) api_requests: BTreeMap<String, u64>,
    pub(super) rows_written: u64,
    pub(super) bytes_exported: u64,
    pub(super) transactions: i64,
}

impl Report {
    /// Prints the numbers and writes them to `file`.
    pub(super) fn write(&self, file: Option<&Path>) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        writeln!(std::io::stdout(), "{text}")?;
        if let Some(file) = file {
            std::fs::write(file, text + "\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_the_promised_ones() {
        let value = serde_json::to_value(Report::default()).unwrap();
        for pointer in [
            "/objects",
            "/first_export_s",
            "/first_export_cpu_s",
            "/rss_mb/steady",
            "/rss_mb/peak",
            "/rss_mb/anon",
            "/rss_mb/file",
            "/rss_mb/base",
            "/api_requests",
            "/rows_written",
            "/bytes_exported",
            "/truth/missing",
            "/truth/extra",
            "/truth/stale",
            "/truth/doubled",
            "/latency_ms/p50",
            "/latency_ms/p99",
            "/delete_s",
            "/idle/seconds",
            "/idle/cpu_s",
            "/idle/api_requests",
            "/idle/rows_written",
            "/idle/bytes_exported",
            "/idle/transactions",
        ] {
            assert!(value.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
