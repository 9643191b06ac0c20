//! Amounts such as `500m`, `1Gi` or `1e3`, exact to the nano.

use std::cmp::Ordering;
use std::fmt;

const NANO: i128 = 1_000_000_000;
/// Texts with more digits are refused.
const MAX_LENGTH: usize = 64;
const BINARY: &[&str] = &["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: &[(&str, i32)] =
    &[("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// The notation in which an amount is formatted.
#[derive(Clone, Copy, Debug)]
enum Notation {
    Binary,
    Decimal,
    Exponent,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::cel) struct Quantity {
    nano: i128,
    notation: Notation,
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.nano.cmp(&other.nano))
    }
}

impl From<i64> for Quantity {
    fn from(whole: i64) -> Self {
        Self { nano: i128::from(whole) * NANO, notation: Notation::Decimal }
    }
}

impl Quantity {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let digits = format!("{whole}{fraction}");
        let mantissa: i128 = digits.parse().ok()?;
        let (factor, exponent, notation) = unit(suffix)?;
        let scale = exponent.checked_add(9)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        let value = mantissa.checked_mul(factor)?;
        let nano = match (value, u32::try_from(scale)) {
            (0, _) => 0,
            (_, Ok(power)) => value.checked_mul(10_i128.checked_pow(power)?)?,
            // Amounts below a nano are rounded up to one.
            (_, Err(_)) => match 10_i128.checked_pow(scale.unsigned_abs()) {
                Some(divisor) => (value - 1) / divisor + 1,
                None => 1,
            },
        };
        let within = nano / NANO <= i128::from(i64::MAX);
        within.then_some(Self { nano: if negative { -nano } else { nano }, notation })
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let notation = if self.nano == 0 { other.notation } else { self.notation };
        Some(Self { nano: self.nano.checked_add(other.nano)?, notation })
    }

    pub(super) fn sub(self, other: Self) -> Option<Self> {
        self.add(Self { nano: other.nano.checked_neg()?, ..other })
    }

    pub(super) fn sign(self) -> i64 {
        i64::try_from(self.nano.signum()).unwrap_or(0)
    }

    /// The amount, when it is whole and an `int`.
    pub(super) fn integer(self) -> Option<i64> {
        if self.nano % NANO == 0 { i64::try_from(self.nano / NANO).ok() } else { None }
    }

    pub(super) fn float(self) -> f64 {
        self.nano as f64 / NANO as f64
    }
}

/// Factor, power of ten and notation of a suffix.
fn unit(suffix: &str) -> Option<(i128, i32, Notation)> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((1, *exponent, Notation::Decimal));
    }
    if let Some(power) = BINARY.iter().position(|name| *name == suffix) {
        return Some((1 << (10 * power), 0, Notation::Binary));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    Some((1, exponent.parse().ok()?, Notation::Exponent))
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let small = self.nano.abs() < 1024 * NANO;
        if matches!(self.notation, Notation::Binary) && !small {
            let up = i128::from(self.nano % NANO != 0) * self.nano.signum();
            let (mut value, mut power) = (self.nano / NANO + up, 0);
            while value % 1024 == 0 && power + 1 < BINARY.len() {
                value /= 1024;
                power += 1;
            }
            return write!(f, "{value}{}", BINARY[power]);
        }
        if self.nano == 0 {
            return f.write_str("0");
        }
        let (mut value, mut unit) = (self.nano, 0);
        while value % 1000 == 0 && unit + 1 < DECIMAL.len() {
            value /= 1000;
            unit += 1;
        }
        let (suffix, exponent) = DECIMAL[unit];
        match self.notation {
            Notation::Exponent if exponent != 0 => write!(f, "{value}e{exponent}"),
            Notation::Exponent => write!(f, "{value}"),
            _ => write!(f, "{value}{suffix}"),
        }
    }
}
