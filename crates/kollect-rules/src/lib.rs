//! The rules about specs: valid fields, label selectors, the namespaces of a target, the limits of a scope, export
//! intervals.
//!
//! Control loops, command line and admission webhook share them. Pure and sync: other objects are arguments. It must
//! not read from a cluster or know how violations are reported.
#![warn(missing_docs)]

mod ceiling;
mod cluster_inventory;
mod cluster_target;
mod connection_test;
mod findings;
mod interval;
mod inventory;
mod names;
mod namespaces;
mod profile;
mod review;
mod review_facts;
mod rule;
mod rule_table;
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
pub use interval::{MAX_INTERVAL, default_interval, effective_interval};
pub use inventory::check_inventory;
pub use namespaces::{Confinement, NamespaceIntent, NamespaceSelection, ResolvedNamespaces, resolve_namespaces};
pub use profile::check_profile;
pub use review::{Needs, Review, needs, review};
pub use review_facts::{ReviewFacts, RuleSettings};
pub use rule::{Layer, RuleDoc};
pub use rule_table::rule_table;
pub use secrets::{
    DestinationHost, SecretAgreement, SecretExtractionPolicy, collects_secret_data, is_core_secret,
    secret_extraction_allowed,
};
pub use selector::{Selector, exports_target, selector_matches};
pub use shape::{kind_schema, openapi_path, shape_warnings};
pub use sink::{check_database_sink, check_event_sink, check_snapshot_sink};
pub use sink_refs::MAX_SINK_REFS;
pub use target::check_target;
pub use violation::{Violation, Warning};
pub use watch::{NAMESPACE_WATCH_ANNOTATION, WATCH_LABEL, WatchDecision, watch_decision};
