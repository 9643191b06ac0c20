//! Equality of any two values.
//!
//! Separate because neither the built-in lists and maps nor ours know the other's insides.

use super::super::size;
use crate::budget;
use cel::common::traits::Sizer;
use cel::common::types::Kind;
use cel::common::value::Val;

/// How deep lists and maps are compared. JSON from outside is at most 128 deep.
const MAX_COMPARED_DEPTH: usize = 300;

/// Equality of any two values. The built-in lists and maps only know their own kind.
pub(in crate::cel) fn equal(a: &dyn Val, b: &dyn Val) -> bool {
    equal_at(a, b, 0)
}

fn equal_at(a: &dyn Val, b: &dyn Val, depth: usize) -> bool {
    // Once nothing is left, the evaluation fails, whatever this says.
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
        // Asking a list or map again would lead back here.
        (Kind::List | Kind::Map, _) | (_, Kind::List | Kind::Map) => false,
        _ => a.equals(b),
    }
}
