//! Limits that keep one tenant from using up the processor or the memory of all.

pub(crate) mod priorities;
pub(crate) mod store_limit;
