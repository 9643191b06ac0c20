//! Files in a Git branch: one commit per inventory, many inventories in one push.
//!
//! libgit2 handles objects, trees, packs and the smart protocol; all network traffic passes the crate's own transport,
//! which applies the address guard and the limits of what a server may send. The mirror on disk is a cache: losing it
//! costs one shallow fetch. It must not know the meaning of the files, and never reads the environment.

mod blobs;
mod blocking;
mod branch;
mod branch_state;
mod branch_writer;
mod config;
mod error;
mod mirror;
mod mirror_quota;
mod ownership_record;
mod push;
mod remote;
mod remote_url;
mod sink;
mod snapshot;
mod spec;
mod transport;
mod tree;

pub use config::{GitConfig, GitCredentials, PushPolicy};
pub use sink::GitSink;
pub use spec::{GitProcessSettings, from_spec, layout, secret_refs};
pub use transport::TransferLimits;
