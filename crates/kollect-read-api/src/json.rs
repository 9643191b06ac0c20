//! JSON of serializable values, appended to a buffer.

use serde::Serialize;

/// Appends a value of texts, numbers and lists, whose serialization cannot fail.
pub(crate) fn append_json(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.extend_from_slice(b"null");
    }
}
