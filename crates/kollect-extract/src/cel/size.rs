//! Sizes of values, for charges before they are copied, searched or joined.

use crate::budget::MAX_BUILT;
use cel::common::types::{CelBytes, CelList, CelMap, CelMapKey, CelOptional, CelString};
use cel::common::value::Val;

/// Bytes of a value beside its text.
pub(super) const NODE: usize = 48;
/// Deepest value that is measured; the interpreter copies and drops values recursively.
const MAX_DEPTH: usize = 100;
/// More than any budget.
const TOO_MUCH: usize = MAX_BUILT + 1;

/// Bytes of a copy of the value: built values are copied, lists and maps of the object are not.
pub(super) fn copied(value: &dyn Val) -> usize {
    copied_at(value, 0)
}

fn copied_at(value: &dyn Val, depth: usize) -> usize {
    if depth > MAX_DEPTH {
        return TOO_MUCH;
    }
    let mut size = NODE;
    if let Some(list) = value.downcast_ref::<CelList>() {
        for item in list.inner() {
            size += copied_at(&**item, depth + 1);
            if size > MAX_BUILT {
                return TOO_MUCH;
            }
        }
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        for (key, item) in map.inner() {
            size += NODE + key_bytes(key) + copied_at(&**item, depth + 1);
            if size > MAX_BUILT {
                return TOO_MUCH;
            }
        }
    } else if let Some(optional) = value.downcast_ref::<CelOptional>() {
        size += optional.option().map_or(0, |inner| copied_at(inner, depth + 1));
    } else {
        size += text_bytes(value);
    }
    size
}

fn key_bytes(key: &CelMapKey<'_>) -> usize {
    match key {
        CelMapKey::String(text) => text.inner().len(),
        _ => 0,
    }
}

/// Bytes of a text or of bytes.
pub(super) fn text_bytes(value: &dyn Val) -> usize {
    let text = value.downcast_ref::<CelString>().map(|text| text.inner().len());
    text.or_else(|| value.downcast_ref::<CelBytes>().map(|bytes| bytes.inner().len())).unwrap_or(0)
}

/// Elements of a list or map.
pub(super) fn elements(value: &dyn Val) -> usize {
    value
        .as_sizer()
        .filter(|_| value.as_iterable().is_some())
        .map_or(0, |sizer| usize::try_from(*sizer.size().inner()).unwrap_or(0))
}

/// Bytes of a list or text that starts with a copy of the value.
pub(super) fn joined(value: &dyn Val) -> usize {
    if value.downcast_ref::<CelList>().is_some() {
        return copied(value);
    }
    NODE + text_bytes(value) + elements(value).saturating_mul(NODE)
}

/// Bytes of comparing each element of a list once.
pub(super) fn compared(list: &dyn Val) -> usize {
    let Some(items) = list.as_iterable() else { return 0 };
    let (mut items, mut size) = (items.iter(), 0_usize);
    while let Some(item) = items.next() {
        size = size.saturating_add(NODE + text_bytes(item));
    }
    size
}

/// Upper bound for the bytes of a value formatted as text.
pub(super) fn written(value: &dyn Val) -> usize {
    written_at(value, 0)
}

fn written_at(value: &dyn Val, depth: usize) -> usize {
    /// Length of the largest number with `%.100f`.
    const SCALAR: usize = 512;
    if depth > MAX_DEPTH * 2 {
        return TOO_MUCH;
    }
    let Some(items) = value.as_iterable() else { return SCALAR.max(text_bytes(value).saturating_mul(2)) };
    let (mut items, mut size) = (items.iter(), NODE);
    while let Some(item) = items.next() {
        size = size.saturating_add(written_at(item, depth + 1));
        if let Some(Ok(below)) = value.as_indexer().filter(|_| !is_list(value)).map(|indexer| indexer.get(item)) {
            size = size.saturating_add(written_at(&*below, depth + 1));
        }
        if size > MAX_BUILT {
            return TOO_MUCH;
        }
    }
    size
}

fn is_list(value: &dyn Val) -> bool {
    value.get_type().kind() == cel::common::types::Kind::List
}
