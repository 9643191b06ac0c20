//! Rows in a PostgreSQL table: one row per collected object, equal to the view of the inventory.
//!
//! Separate so that only it knows SQL. A cycle is one transaction that also holds the fence of its binding; what the
//! table holds is read back by key and digest. It must not know Kubernetes, specs or Secrets.

mod config;
mod connection;
mod dsn;
mod error;
mod pool;
mod rows;
mod schema;
mod sink;
mod statements;
mod write;

pub use config::{Config, Mode};
pub use pool::Pools;
pub use sink::PostgresSink;
