//! Schemas beyond what types alone say: bounds, and the rules that an API server checks without any webhook.
//!
//! Separate so that the types read as what users write. Every list and text that a rule reads is bounded, because the
//! API server refuses a CRD whose rules could cost too much. Rules that need other objects, annotations or the
//! operator's settings are not here: a schema cannot see them.

mod finish;
mod kubernetes;
pub(crate) mod rules;
mod text;

pub(crate) use finish::finish;
pub(crate) use kubernetes::{bytes, conditions, label_selector, requirements};
pub(crate) use text::{
    DURATION_PATTERN, MAX_NAME, at_least_one_32, at_least_one_64, attribute_path, branch, dns_label, dns_subdomain,
    document_path, duration, json_pointers, member_name, metric_labels, name, names, namespaces, port, row_path,
    seconds, text_key, word, words_set,
};
