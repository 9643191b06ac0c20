//! The rules about specs: what a spec may say, what a selector selects, which namespaces a target reaches, what a
//! scope permits, how often a binding may export.
//!
//! Separate so that the control loops, the CLI and an admission webhook judge alike. Pure and sync: facts come in as
//! values, verdicts go out. It must not read from a cluster or know how verdicts are reported.
#![warn(missing_docs)]

mod ceiling;
mod cluster_inventory;
mod cluster_target;
mod connection_test;
mod doc;
mod inventory;
mod names;
mod namespaces;
mod profile;
mod review;
mod schema;
mod scope;
mod secrets;
mod selector;
mod shape;
mod sink;
mod sink_refs;
mod target;
mod template;
mod violation;
mod watch;

pub use ceiling::{Ceiling, highest_floor};
pub use doc::{Layer, RuleDoc, rule_table};
pub use inventory::{MAX_INTERVAL, MAX_SINK_REFS, check_inventory, default_interval, effective_interval};
pub use namespaces::{Confinement, NamespaceIntent, NamespaceSelection, Resolved, resolve_namespaces};
pub use profile::check_profile;
pub use review::{Facts, Needs, Review, RuleSettings, Warning, needs, review};
pub use secrets::{
    DestinationHost, SecretAgreement, SecretExtractionPolicy, collects_secret_data, is_core_secret,
    secret_extraction_allowed,
};
pub use selector::{Selector, exports_target, selector_matches};
pub use shape::{kind_schema, openapi_path, shape_warnings};
pub use sink::{check_database_sink, check_event_sink, check_snapshot_sink};
pub use target::check_target;
pub use violation::Violation;
pub use watch::{NAMESPACE_WATCH_ANNOTATION, WATCH_LABEL, WatchDecision, watch_decision};
