//! Schema parts that types cannot express: bounds, and the CEL rules that an API server checks without the webhook.
//!
//! Every list and text that a rule reads is bounded, because the API server refuses a CRD whose rules could cost too
//! much. Rules over other objects, annotations or the operator's settings are in `kollect-rules`.

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
