//! Rows in a PostgreSQL table: one row per collected object, equal to the view of the inventory.
//!
//! Separate so that only it knows SQL. A cycle is one transaction that also holds the fence of its binding; what the
//! table holds is read back by key and digest. It must not know Kubernetes, specs or Secrets.
//!
//! `resource_namespace` of a cluster-scoped object is the inventory's namespace; `payload` has the true one. In
//! `existing` mode writers are fenced only if somebody made the `kollect_writer` table. TRUNCATE of a partitioned table
//! is noticed only by the next full comparison, because such a table has no file of its own.

mod config;
mod connection;
mod dsn;
mod error;
mod held;
mod pool;
mod rows;
mod schema;
mod sink;
mod statements;
mod write;

pub use config::{Config, Mode};
pub use pool::Pools;
pub use sink::PostgresSink;
