//! The inventory read API: pages of the rows in memory, and how the exports stand, over HTTP.
//!
//! Separate because it is off by default and only reads: it must not change a row, a status or what is exported. `query`
//! and `page` are pure, `held` looks things up, `access` asks the API server who may read, `server` speaks HTTP.
#![warn(missing_docs)]

mod access;
mod callers;
mod held;
mod page;
mod query;
mod routes;
mod server;
mod statuses;

pub use access::{Access, Ask, KubernetesAccess, Open, Refusal};
pub use held::Held;
pub use server::{Settings, serve};
