//! Label selectors for namespaces, objects and targets, validated once and then matched per object.
//!
//! An invalid selector matches nothing.

use crate::names::is_dns_label;
use crate::violation::shown;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kollect_api::KollectInventorySpec;
use std::collections::{BTreeMap, BTreeSet};

/// A parsed label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// `None`: not valid.
    requirements: Option<Vec<Requirement>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Parses a selector. An empty one matches everything, an invalid one nothing.
    pub fn new(selector: &LabelSelector) -> Self {
        Self { requirements: requirements(selector).ok() }
    }

    /// What is wrong with a selector.
    pub fn check(selector: &LabelSelector) -> Result<(), String> {
        requirements(selector).map(drop).map_err(|(_, why)| why)
    }

    /// The invalid field, e.g. `.matchExpressions[0].values`, and what is wrong with it.
    pub(crate) fn problem(selector: &LabelSelector) -> Option<(String, String)> {
        requirements(selector).err()
    }

    /// Whether all requirements hold.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.as_ref().is_some_and(|all| all.iter().all(|requirement| requirement.holds(labels)))
    }

    /// Whether all requirements hold when only the label `key` is known; `None` when it depends on other labels.
    pub fn matches_knowing(&self, key: &str, labels: &BTreeMap<String, String>) -> Option<bool> {
        let Some(all) = &self.requirements else { return Some(false) };
        let known = |requirement: &&Requirement| requirement.key == key;
        if all.iter().filter(known).all(|requirement| requirement.holds(labels)) {
            all.iter().all(|requirement| known(&requirement)).then_some(true)
        } else {
            Some(false)
        }
    }
}

/// Whether a selector matches labels; parses it for one use.
pub fn selector_matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    Selector::new(selector).matches(labels)
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

fn requirements(selector: &LabelSelector) -> Result<Vec<Requirement>, (String, String)> {
    let mut all = Vec::new();
    for (key, value) in selector.match_labels.iter().flatten() {
        let at = |why| (format!(".matchLabels[{}]", shown(key)), why);
        check_key(key).map_err(at)?;
        check_value(value).map_err(at)?;
        all.push(Requirement { key: key.clone(), operator: Operator::In, values: BTreeSet::from([value.clone()]) });
    }
    for (i, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let at = |part: &str| format!(".matchExpressions[{i}].{part}");
        check_key(&expression.key).map_err(|why| (at("key"), why))?;
        let values: BTreeSet<String> = expression.values.iter().flatten().cloned().collect();
        values.iter().try_for_each(|value| check_value(value)).map_err(|why| (at("values"), why))?;
        let operator = match (expression.operator.as_str(), values.is_empty()) {
            ("In", false) => Operator::In,
            ("NotIn", false) => Operator::NotIn,
            ("Exists", true) => Operator::Exists,
            ("DoesNotExist", true) => Operator::DoesNotExist,
            (name @ ("In" | "NotIn"), true) => return Err((at("values"), format!("operator {name} needs values"))),
            (name @ ("Exists" | "DoesNotExist"), false) => {
                return Err((at("values"), format!("operator {name} takes no values")));
            }
            (other, _) => {
                let why = format!("operator {:?} is not one of In, NotIn, Exists and DoesNotExist", shown(other));
                return Err((at("operator"), why));
            }
        };
        all.push(Requirement { key: expression.key.clone(), operator, values });
    }
    Ok(all)
}

/// `name` or `prefix/name`, as Kubernetes writes label keys.
fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix_ok = prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_dns_label));
    if prefix_ok && !name.is_empty() && is_label_text(name) {
        return Ok(());
    }
    Err(format!("{:?} is not a label key", shown(key)))
}

fn check_value(value: &str) -> Result<(), String> {
    if is_label_text(value) { Ok(()) } else { Err(format!("{:?} is not a label value", shown(value))) }
}

/// At most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; or nothing.
fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= 63
        && ends.into_iter().flatten().all(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

/// Whether an inventory exports a target of its namespace, by `spec.targetRefs` and `spec.targetSelector`.
pub fn exports_target(spec: &KollectInventorySpec, name: &str, labels: &BTreeMap<String, String>) -> bool {
    let named = spec.target_refs.is_empty() || spec.target_refs.iter().any(|wanted| wanted == name);
    named && spec.target_selector.as_ref().is_none_or(|selector| selector_matches(selector, labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn matches(selector: &Value, labels: &Value) -> bool {
        let selector: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
        let labels: BTreeMap<String, String> = serde_json::from_value(labels.clone()).unwrap();
        selector_matches(&selector, &labels)
    }

    fn expression(operator: &str, values: &[&str]) -> Value {
        json!({"matchExpressions": [{"key": "team", "operator": operator, "values": values}]})
    }

    #[test]
    fn requirements_hold_as_in_kubernetes() {
        let (a, ops, none) = (json!({"team": "a", "x": "1"}), json!({"team": "ops"}), json!({}));
        for (selector, on_a, on_ops, on_none) in [
            (json!({}), true, true, true),
            (json!({"matchLabels": {"team": "a"}}), true, false, false),
            (json!({"matchLabels": {"team": "a", "x": "2"}}), false, false, false),
            (expression("In", &["a", "b"]), true, false, false),
            (expression("NotIn", &["a"]), false, true, true),
            (expression("Exists", &[]), true, true, false),
            (expression("DoesNotExist", &[]), false, false, true),
        ] {
            let got = (matches(&selector, &a), matches(&selector, &ops), matches(&selector, &none));
            assert_eq!(got, (on_a, on_ops, on_none), "{selector}");
        }
    }

    #[test]
    fn with_one_label_known_a_selector_is_decided_only_if_it_must_not_ask_for_another() {
        let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
        for (selector, expected) in [
            (json!({}), Some(true)),
            (json!({"matchLabels": {"team": "a"}}), Some(true)),
            (json!({"matchLabels": {"team": "b"}}), Some(false)),
            (json!({"matchLabels": {"x": "1"}}), None),
            (json!({"matchLabels": {"team": "a", "x": "1"}}), None),
            (json!({"matchLabels": {"team": "b", "x": "1"}}), Some(false)),
            (json!({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}), None),
            (expression("In", &[]), Some(false)),
        ] {
            let prepared = Selector::new(&serde_json::from_value(selector.clone()).unwrap());
            assert_eq!(prepared.matches_knowing("team", &labels), expected, "{selector}");
        }
    }

    #[test]
    fn an_invalid_selector_matches_nothing_and_has_a_cause() {
        for selector in [
            expression("In", &[]),
            expression("NotIn", &[]),
            expression("Exists", &["a"]),
            expression("in", &["a"]),
            expression("NotIn", &["-a"]),
            json!({"matchLabels": {"": "a"}}),
            json!({"matchLabels": {"a/b/c": "a"}}),
            json!({"matchLabels": {"Bad.Prefix/x": "a"}}),
            json!({"matchLabels": {"team": "a b"}}),
        ] {
            assert!(!matches(&selector, &json!({})), "{selector}");
            assert!(!matches(&selector, &json!({"team": "a"})), "{selector}");
            let selector: LabelSelector = serde_json::from_value(selector).unwrap();
            assert!(Selector::check(&selector).is_err());
        }
    }
}
