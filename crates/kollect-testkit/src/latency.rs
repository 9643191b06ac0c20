//! Percentiles of measured times.

use serde::Serialize;

/// Percentiles in milliseconds.
#[derive(Debug, Default, Serialize)]
pub struct Latency {
    /// Half of the values are at most this.
    pub p50: f64,
    /// 99 of 100 values are at most this.
    pub p99: f64,
}

impl Latency {
    /// The percentiles of at least one value.
    pub fn of(mut times: Vec<f64>) -> Option<Self> {
        times.sort_by(f64::total_cmp);
        // The smallest value that at least this share of all values does not exceed.
        let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Self { p50: at(50)?, p99: at(99)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let latency = Latency::of((1..=1000).rev().map(f64::from).collect()).unwrap();
        assert!((latency.p50 - 500.0).abs() < f64::EPSILON && (latency.p99 - 990.0).abs() < f64::EPSILON);
        assert!(Latency::of(Vec::new()).is_none());
    }
}
