//! Real servers for tests: each starts on a free loopback port with its own state directory and is killed on drop.
//!
//! Every crate's tests share them. Nothing here knows Kollect's rows or sinks. A server that is not
//! installed is an error that names `cargo xtask env`, never a skipped test.

mod api_server;
mod audit;
mod cache;
mod certs;
mod git_http;
mod kubeconfig;
mod postgres;
mod process;
mod ready;
pub(crate) mod repos;
mod ssh_git;
mod tls_listener;

pub use api_server::{ADMIN_TOKEN, ApiServer, ApiServerOptions};
pub use audit::{AuditEntry, count_by_verb, read_audit_log};
pub use cache::{cache_dir, kube_assets};
pub use certs::{Certs, KeyPairPem};
pub use git_http::{GitHttp, GitHttpOptions};
pub use kubeconfig::{client_from_kubeconfig, kubeconfig};
pub use postgres::{Postgres, PostgresOptions};
pub use process::{ServerEnded, ServerProcess, StopSignal, free_port};
pub use ready::wait_for;
pub use repos::BareRepos;
pub use ssh_git::SshGit;
pub use tls_listener::{TlsListener, server_config};
