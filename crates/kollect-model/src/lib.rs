//! The domain types of Kollect: kinds, keys, rows, changes, and the canonical JSON that they are written in.
//!
//! Every other crate depends on it, so it must not depend on Kubernetes clients, async run times or I/O.
#![warn(missing_docs)]

mod backoff;
mod canonical;
mod envelope;
mod glob;
mod guard;
mod gvk;
mod hex;
mod intern;
mod item;
mod keys;
mod reason;
pub mod redact;
mod row;

pub use backoff::{Backoff, jittered};
pub use canonical::{NotFinite, write_string, write_value};
pub use envelope::{
    EMPTY_ITEMS_FINGERPRINT, Envelope, HashWriter, SCHEMA_VERSION, canonical_cmp, fingerprint_items, item_bytes,
};
pub use glob::{Glob, matches_sequence};
pub use guard::{Cidr, Denied, Guard, NotACidr};
pub use gvk::Gvk;
pub use hex::hex;
pub use intern::Interner;
pub use item::{Item, NotAnObject};
pub use keys::{ObjectKey, RowId, TargetKey, TargetScope, Uid};
pub use reason::Reason;
pub use row::{Cause, Change, Deleted, Digest, ENCODER_EPOCH, Row, Version, write_item};
