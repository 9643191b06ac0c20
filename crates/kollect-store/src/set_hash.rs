//! A hash of a set of rows: Σ SHA-256(item) mod 2²⁵⁶. Independent of order, so rows can be added and removed.

use kollect_model::{Row, hex, item_bytes};
use sha2::{Digest as _, Sha256};
use std::fmt;

#[cfg(test)]
thread_local! {
    /// Rows hashed on this thread.
    pub(crate) static HASHED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// A sum of SHA-256 values, little-endian limbs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetHash([u64; 4]);

impl SetHash {
    /// The value of one row: SHA-256 of its Item bytes.
    pub fn of(row: &Row) -> Self {
        #[cfg(test)]
        HASHED.set(HASHED.get() + 1);
        let hash = Sha256::digest(item_bytes(row));
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().rev().zip(hash.chunks_exact(8)) {
            *limb = bytes.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
        }
        Self(limbs)
    }

    /// Adds, modulo 2²⁵⁶.
    pub fn add(&mut self, other: Self) {
        let mut carry = false;
        for (limb, value) in self.0.iter_mut().zip(other.0) {
            let (partial, over) = limb.overflowing_add(value);
            let (total, over_again) = partial.overflowing_add(u64::from(carry));
            *limb = total;
            carry = over || over_again;
        }
    }

    /// Subtracts, modulo 2²⁵⁶.
    pub fn subtract(&mut self, other: Self) {
        let mut borrow = false;
        for (limb, value) in self.0.iter_mut().zip(other.0) {
            let (partial, under) = limb.overflowing_sub(value);
            let (total, under_again) = partial.overflowing_sub(u64::from(borrow));
            *limb = total;
            borrow = under || under_again;
        }
    }
}

impl fmt::Display for SetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 32];
        for (place, limb) in bytes.chunks_exact_mut(8).zip(self.0.iter().rev()) {
            place.copy_from_slice(&limb.to_be_bytes());
        }
        f.write_str(&hex(&bytes))
    }
}

/// The number of rows of a set and their hash.
#[derive(Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) rows: u64,
    pub(crate) hash: SetHash,
}

impl Totals {
    pub(crate) fn add(&mut self, row: &Row) {
        self.rows += 1;
        self.hash.add(SetHash::of(row));
    }

    pub(crate) fn subtract(&mut self, row: &Row) {
        self.rows = self.rows.saturating_sub(1);
        self.hash.subtract(SetHash::of(row));
    }

    pub(crate) fn include(&mut self, other: Self) {
        self.rows += other.rows;
        self.hash.add(other.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_can_be_taken_away_in_any_order() {
        let (a, b) = (SetHash([u64::MAX, u64::MAX, 7, u64::MAX]), SetHash([1, 0, u64::MAX, 3]));
        let mut sum = SetHash::default();
        sum.add(a);
        sum.add(b);
        assert_eq!(sum, SetHash([0, 0, 7, 3]));
        sum.subtract(a);
        assert_eq!(sum, b);
        sum.subtract(b);
        assert_eq!(sum, SetHash::default());
        assert_eq!(sum.to_string(), "0".repeat(64));
    }
}
