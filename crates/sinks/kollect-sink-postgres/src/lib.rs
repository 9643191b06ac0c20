//! Rows in a PostgreSQL table: one row per collected object, equal to the view of the inventory.
//!
//! A cycle is one transaction that also takes the fence of its binding. In `existing` mode writers are fenced only if
//! the `kollect_writer` table exists. TRUNCATE of a partitioned table is detected only by the next full comparison,
//! because such a table has no file of its own. It must not know the Kubernetes API.

mod compare;
mod config;
mod connection;
mod dsn;
mod error;
mod held;
mod pool;
mod rows;
mod schema;
mod sink;
mod spec;
mod statements;
mod write;

pub use config::{PostgresConfig, Provisioning};
pub use pool::ConnectionPools;
pub use sink::PostgresSink;
pub use spec::{from_spec, secret_refs};
