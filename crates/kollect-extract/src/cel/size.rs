//! How large values are, before they are copied or joined.
//!
//! Separate from the functions that ask, because the rules for charging are here.

use super::budget;
use cel::ExecutionError;
use cel::common::types::{CelBytes, CelList, CelMap, CelString};
use cel::common::value::Val;

/// Most parts of a value that an expression builds.
const MAX_BUILT_NODES: usize = 32_768;
/// Depth of a value that an expression builds.
const MAX_BUILT_DEPTH: usize = 100;

/// Bytes of a string, elements of a list or map.
pub(super) fn length(value: &dyn Val) -> usize {
    if let Some(text) = value.downcast_ref::<CelString>() {
        text.inner().len()
    } else if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        bytes.inner().len()
    } else {
        // An element costs more than a byte.
        value
            .as_sizer()
            .and_then(|sizer| usize::try_from(*sizer.size().inner()).ok())
            .map_or(0, |n| n.saturating_mul(16))
    }
}

/// What a copy of the value costs: parts that an expression built are copied, parts of the object are not.
pub(super) fn copied(value: &dyn Val, depth: usize) -> Result<usize, ExecutionError> {
    if depth > MAX_BUILT_DEPTH {
        return Err(budget::limit("a list or map is nested too deeply"));
    }
    let mut size = 1;
    if let Some(list) = value.downcast_ref::<CelList>() {
        for item in list.inner() {
            size += copied(&**item, depth + 1)?;
            if size > MAX_BUILT_NODES {
                break;
            }
        }
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        for item in map.inner().values() {
            size += 1 + copied(&**item, depth + 1)?;
            if size > MAX_BUILT_NODES {
                break;
            }
        }
    } else if let Some(text) = value.downcast_ref::<CelString>() {
        size += text.inner().len() / 64;
    }
    if size > MAX_BUILT_NODES { Err(budget::limit("a list or map becomes too large")) } else { Ok(size) }
}
