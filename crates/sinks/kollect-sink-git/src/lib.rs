//! Files in a Git branch: one commit per inventory, many inventories in one push.
//!
//! libgit2 does what has no network in it (objects, trees, packs, the smart protocol); every byte on the wire goes
//! through our own transport, and so through the address guard and the limits of what a server may send. The mirror on
//! disk is only a cache: losing it at any time costs one shallow fetch.
//! It must not know what the files mean, nor read Kubernetes or the environment.

mod blobs;
mod branch;
mod config;
mod error;
mod job;
mod ledger;
mod mirror;
mod mirror_quota;
mod place;
mod push;
mod remote;
mod remote_url;
mod sink;
mod snapshot;
mod transport;
mod tree;

pub use config::{Auth, Config, PushPolicy};
pub use sink::GitSink;
pub use transport::Limits;
