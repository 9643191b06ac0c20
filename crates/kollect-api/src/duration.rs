//! Durations in Go's format: `1m30s`, `500ms`, `1.5h`, `0`.
//!
//! The text is parsed on demand, so that one object with an invalid duration does not fail the decoding of a list.
//! `kube::core::Duration` is not used: it panics on overflow and on `1h-1s`, and accepts an empty text and `--1s`.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A duration text, e.g. `30s`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GoDuration(String);

impl JsonSchema for GoDuration {
    fn schema_name() -> Cow<'static, str> {
        "GoDuration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        crate::schema::duration()
    }
}

/// Why a duration text has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a duration.
    #[error("\"{0}\" is not a duration; write a number with a unit, such as 500ms, 30s, 1m30s or 1h")]
    Invalid(String),
    /// A duration below zero.
    #[error("\"{0}\" is negative; use 0s or more")]
    Negative(String),
}

impl GoDuration {
    /// Wraps a text without parsing it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value.
    pub fn to_duration(&self) -> Result<Duration, DurationError> {
        let invalid = || DurationError::Invalid(self.0.clone());
        let (negative, rest) = match self.0.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] | rest => (false, rest),
        };
        let nanos = if rest == b"0" { 0 } else { sum(rest).ok_or_else(invalid)? };
        if negative && nanos > 0 {
            return Err(DurationError::Negative(self.0.clone()));
        }
        Ok(Duration::from_nanos(nanos))
    }
}

/// Nanoseconds of a sequence of numbers with units; `None` when malformed or above Go's maximum of 292 years.
fn sum(mut rest: &[u8]) -> Option<u64> {
    const LIMIT: u128 = i64::MAX as u128;
    if rest.is_empty() {
        return None;
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after {
            [b'.', tail @ ..] => digits(tail),
            _ => (&after[..0], after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit_len = after.iter().take_while(|c| **c != b'.' && !c.is_ascii_digit()).count();
        let unit = unit_nanos(&after[..unit_len])?;
        let number = whole.iter().try_fold(0_u128, |n, c| {
            let n = n * 10 + u128::from(c - b'0');
            (n <= LIMIT).then_some(n)
        })?;
        total += number * unit;
        // Beyond 15 digits a fraction is below a nanosecond in every unit.
        let mut scale = unit;
        for c in fraction.iter().take(15) {
            total += u128::from(c - b'0') * scale / 10;
            scale /= 10;
        }
        if total > LIMIT {
            return None;
        }
        rest = &after[unit_len..];
    }
    u64::try_from(total).ok()
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|c| c.is_ascii_digit()).count())
}

fn unit_nanos(unit: &[u8]) -> Option<u128> {
    Some(match unit {
        b"ns" => 1,
        b"us" | b"\xC2\xB5s" | b"\xCE\xBCs" => 1_000,
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// Formats a duration in Go's format: `1h0m0s`, `1m30s`, `2.5s`, `500ms`, `0s`.
pub fn go_duration_text(value: Duration) -> String {
    let (seconds, nanos) = (value.as_secs(), value.subsec_nanos());
    if seconds == 0 {
        return match nanos {
            0 => "0s".to_owned(),
            n if n < 1_000 => format!("{n}ns"),
            n if n < 1_000_000 => format!("{}us", decimal(u64::from(n / 1_000), n % 1_000, 3)),
            n => format!("{}ms", decimal(u64::from(n / 1_000_000), n % 1_000_000, 6)),
        };
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = decimal(seconds % 60, nanos, 9);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

fn decimal(whole: u64, fraction: u32, width: usize) -> String {
    if fraction == 0 {
        return whole.to_string();
    }
    format!("{whole}.{}", format!("{fraction:0width$}").trim_end_matches('0'))
}

impl From<Duration> for GoDuration {
    fn from(value: Duration) -> Self {
        Self(go_duration_text(value))
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_as_in_go() {
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("-0s", 0),
            ("500ms", 500_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("+2us", 2_000),
            ("3µs", 3_000),
            ("1h0m0s", 3_600_000_000_000),
            ("0.000000001s", 1),
            ("0.333333333333s", 333_333_333),
        ] {
            assert_eq!(GoDuration::new(text).to_duration(), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn malformed_and_negative_durations_are_distinct_errors() {
        for text in ["", "5", "s", "1x", ".s", "1d", "one minute", "1s ", "99999999999999999999h", "--1s", "5s3"] {
            assert_eq!(GoDuration::new(text).to_duration(), Err(DurationError::Invalid(text.to_owned())), "{text}");
        }
        assert_eq!(GoDuration::new("-5s").to_duration(), Err(DurationError::Negative("-5s".to_owned())));
    }

    #[test]
    fn a_written_duration_reads_back_the_same() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500_000, "1.5ms"),
            (2_500_000_000, "2.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            let value = Duration::from_nanos(nanos);
            assert_eq!(go_duration_text(value), text);
            assert_eq!(GoDuration::from(value).to_duration(), Ok(value));
        }
    }
}
