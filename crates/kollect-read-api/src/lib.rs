//! The inventory read API: pages of the rows in memory and the states of exports, over HTTP.
//!
//! Off by default. It must not change a row, a status or an export.
#![warn(missing_docs)]

mod access;
mod callers;
mod data_source;
mod json;
mod page;
mod query;
mod routes;
mod server;
mod statuses;

pub use access::{Access, KubernetesAccess, OpenAccess, Refusal, RequiredRight};
pub use data_source::DataSource;
pub use server::{ReadServerSettings, serve};
