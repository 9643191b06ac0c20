//! Equality of any two values: built-in lists and maps cannot compare themselves with views of JSON.

use super::super::size;
use crate::budget;
use cel::common::traits::Sizer;
use cel::common::types::Kind;
use cel::common::value::Val;

/// Depth to which lists and maps are compared. JSON of objects is at most 128 deep.
const MAX_COMPARED_DEPTH: usize = 300;

/// Whether two values are equal. Spends from the budget.
pub(in crate::cel) fn equal(a: &dyn Val, b: &dyn Val) -> bool {
    equal_at(a, b, 0)
}

fn equal_at(a: &dyn Val, b: &dyn Val, depth: usize) -> bool {
    // Without budget the evaluation fails anyway, whatever is returned.
    if budget::charge_bytes(size::text_bytes(a).min(size::text_bytes(b))).is_err() {
        return false;
    }
    match (a.get_type().kind(), b.get_type().kind()) {
        _ if depth > MAX_COMPARED_DEPTH => false,
        (Kind::List, Kind::List) => {
            let (Some(left), Some(right)) = (a.as_iterable(), b.as_iterable()) else { return false };
            let (mut left, mut right) = (left.iter(), right.iter());
            loop {
                match (left.next(), right.next()) {
                    (None, None) => return true,
                    (Some(x), Some(y)) if equal_at(x, y, depth + 1) => {}
                    _ => return false,
                }
            }
        }
        (Kind::Map, Kind::Map) => {
            let sizes = (a.as_sizer().map(Sizer::size), b.as_sizer().map(Sizer::size));
            let (Some(keys), Some(left), Some(right)) = (a.as_iterable(), a.as_indexer(), b.as_indexer()) else {
                return false;
            };
            if sizes.0 != sizes.1 {
                return false;
            }
            let mut keys = keys.iter();
            while let Some(key) = keys.next() {
                match (left.get(key), right.get(key)) {
                    (Ok(x), Ok(y)) if equal_at(&*x, &*y, depth + 1) => {}
                    _ => return false,
                }
            }
            true
        }
        // `equals` of a view calls this function: it must not be called for lists and maps.
        (Kind::List | Kind::Map, _) | (_, Kind::List | Kind::Map) => false,
        _ => a.equals(b),
    }
}
