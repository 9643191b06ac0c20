//! Expected rows: list everything, evaluate each attribute by hand-written code, build the Item.
//!
//! Slow and simple on purpose.

use super::RowKey;
use anyhow::Context as _;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Computes one attribute of an object; `None` is "not there".
pub type Extract = Arc<dyn Fn(&Value) -> Option<Value> + Send + Sync>;

/// Whether a target takes an object.
pub type Filter = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

/// One attribute of a profile.
#[derive(Clone)]
pub struct ExpectedAttribute {
    /// Its name.
    pub name: String,
    /// An optional attribute that is not there is left out; another one is `null`.
    pub optional: bool,
    /// Its value.
    pub extract: Extract,
}

impl ExpectedAttribute {
    /// A required attribute.
    pub fn new(name: &str, extract: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static) -> Self {
        Self { name: name.to_owned(), optional: false, extract: Arc::new(extract) }
    }

    /// The same, left out when it is not there.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// What one target should have collected.
#[derive(Clone)]
pub struct ExpectedTarget {
    /// Namespace of the target.
    pub namespace: String,
    /// Name of the target.
    pub name: String,
    /// API version of the kind, e.g. `apps/v1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Its plural.
    pub plural: String,
    /// Object namespaces; `None` for all.
    pub object_namespaces: Option<Vec<String>>,
    /// Which objects; `None` for all that are not labelled `kollect.dev/watch: disabled`.
    pub filter: Option<Filter>,
    /// The attributes of its profile.
    pub attributes: Vec<ExpectedAttribute>,
}

/// What one inventory should export.
#[derive(Clone)]
pub struct Expectation {
    /// Namespace of the inventory.
    pub namespace: String,
    /// Name of the inventory.
    pub name: String,
    /// Its targets.
    pub targets: Vec<ExpectedTarget>,
}

/// A dotted path such as `spec.template.spec.containers[*].image`. With a `[*]` the result is a list of what is there.
pub fn path(path: &str) -> impl Fn(&Value) -> Option<Value> + Send + Sync + 'static {
    let (steps, many) = (path.replace("[*]", ".*"), path.contains("[*]"));
    move |object| {
        let mut now = vec![object];
        for step in steps.split('.') {
            now = match step {
                "*" => now.into_iter().filter_map(Value::as_array).flatten().collect(),
                key => now.into_iter().filter_map(|value| value.get(key)).collect(),
            };
        }
        match (many, now.as_slice()) {
            (true, found) => Some(Value::Array(found.iter().map(|value| (*value).clone()).collect())),
            (false, [value]) => Some((*value).clone()),
            (false, _) => None,
        }
    }
}

/// Lists every object of the inventory's targets with all rights and computes the Items.
pub async fn expected_rows(client: &kube::Client, wanted: &Expectation) -> anyhow::Result<BTreeMap<RowKey, Value>> {
    let mut rows = BTreeMap::new();
    for target in &wanted.targets {
        for object in objects(client, target).await? {
            let taken = match &target.filter {
                Some(filter) => filter(&object),
                None => object.pointer("/metadata/labels/kollect.dev~1watch") != Some(&json!("disabled")),
            };
            if taken {
                let item = item(target, &object);
                let uid = item["uid"].as_str().context("an object without a UID")?.to_owned();
                let key = RowKey {
                    inventory: format!("{}/{}", wanted.namespace, wanted.name),
                    target: format!("{}/{}", target.namespace, target.name),
                    uid,
                };
                rows.insert(key, item);
            }
        }
    }
    Ok(rows)
}

async fn objects(client: &kube::Client, target: &ExpectedTarget) -> anyhow::Result<Vec<Value>> {
    let (group, version) = target.api_version.split_once('/').unwrap_or(("", &target.api_version));
    let gvk = GroupVersionKind::gvk(group, version, &target.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &target.plural);
    let apis: Vec<Api<DynamicObject>> = match &target.object_namespaces {
        None => vec![Api::all_with(client.clone(), &resource)],
        Some(names) => names.iter().map(|name| Api::namespaced_with(client.clone(), name, &resource)).collect(),
    };
    let mut found = Vec::new();
    for api in apis {
        let mut params = ListParams::default().limit(2_000);
        loop {
            let page = api.list(&params).await.with_context(|| format!("listing {}", target.plural))?;
            for object in page.items {
                found.push(serde_json::to_value(object)?);
            }
            match page.metadata.continue_ {
                Some(token) if !token.is_empty() => params = params.continue_token(&token),
                _ => break,
            }
        }
    }
    Ok(found)
}

fn item(target: &ExpectedTarget, object: &Value) -> Value {
    let metadata = |key: &str| object["metadata"].get(key).cloned().unwrap_or_else(|| json!(""));
    let (group, version) = target.api_version.split_once('/').unwrap_or(("", &target.api_version));
    let mut attributes = Map::new();
    for attribute in &target.attributes {
        match (attribute.extract)(object) {
            Some(value) => drop(attributes.insert(attribute.name.clone(), value)),
            None if attribute.optional => {}
            None => drop(attributes.insert(attribute.name.clone(), Value::Null)),
        }
    }
    let mut item = json!({
        "targetNamespace": target.namespace, "targetName": target.name,
        "namespace": metadata("namespace"), "name": metadata("name"), "uid": metadata("uid"),
        "version": version, "kind": target.kind, "attributes": attributes,
    });
    if !group.is_empty() {
        item["group"] = json!(group);
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_paths_find_values_lists_and_nothing() {
        let object = json!({"a": {"b": 1}, "l": [{"x": 1}, {"y": 2}, {"x": 3}]});
        assert_eq!(path("a.b")(&object), Some(json!(1)));
        assert_eq!(path("a.c")(&object), None);
        assert_eq!(path("l[*].x")(&object), Some(json!([1, 3])));
    }
}
