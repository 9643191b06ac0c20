//! Redacts the value of a sensitive key, unless it only refers to a secret.

use kollect_model::redact::{self, REDACTED, Sensitivity};
use serde_json::{Map, Value};

/// Keys of a schema whose values can be secrets.
const EXAMPLES: [&str; 6] = ["default", "example", "examples", "enum", "const", "value"];
/// Keys of user names in maps with credentials.
const USERS: [&str; 4] = ["user", "username", "login", "userName"];

/// State while the members of one map are redacted: one member may name the secret in another, in any order.
#[derive(Default)]
pub(crate) struct MapMembers {
    /// Value of a naming key, when it is the name of a secret.
    names_secret: Option<String>,
    /// There is a `secretKey`: a reference in an ExternalSecret, which has a `remoteRef` beside it.
    secret_key: bool,
}

impl MapMembers {
    /// Redacts a member by its own key.
    pub(crate) fn redact_member(&mut self, key: &str, found: Option<Sensitivity>, value: &mut Value) {
        match found {
            Some(_) if key == "secretKey" && value.is_string() => self.secret_key = true,
            Some(found) => hide(key, found, value),
            None if key == "tls" => hide_tls(value),
            None => {
                if let Value::String(name) = value
                    && redact::is_naming(key)
                    && names_secret(name)
                {
                    self.names_secret = Some(name.clone());
                }
            }
        }
    }

    /// Redacts members by other members.
    pub(crate) fn finish(self, members: &mut Map<String, Value>) {
        if let Some(name) = self.names_secret {
            for (_, value) in members.iter_mut().filter(|(key, _)| redact::is_paired_value(key)) {
                hide(&name, Sensitivity::Secret, value);
            }
        }
        if self.secret_key
            && !members.contains_key("remoteRef")
            && let Some(value) = members.get_mut("secretKey")
        {
            hide("secretKey", Sensitivity::Secret, value);
        }
    }
}

fn names_secret(name: &str) -> bool {
    matches!(redact::sensitivity(name), Some(Sensitivity::Secret | Sensitivity::Scheme))
}

/// Redacts a value, unless it only refers to a secret or does not have the form of one.
pub(crate) fn hide(key: &str, found: Sensitivity, value: &mut Value) {
    if let Value::Object(map) = value
        && is_schema(map)
    {
        for example in EXAMPLES {
            if let Some(value) = map.get_mut(example).filter(|value| has_text(value)) {
                *value = Value::String(REDACTED.to_owned());
            }
        }
        return;
    }
    if is_secret(key, found, value) {
        *value = Value::String(REDACTED.to_owned());
    }
}

/// `tls: {key: …}`: the key itself.
fn hide_tls(value: &mut Value) {
    let Value::Object(map) = value else { return };
    if map.get("key").is_some_and(has_text) && !is_reference(map) || map.contains_key("key") && map.contains_key("crt")
    {
        *value = Value::String(REDACTED.to_owned());
    }
}

/// Whether the value of a sensitive key is replaced. Numbers and truth values are counters and switches (`maxToken: 3`).
pub(crate) fn is_secret(key: &str, found: Sensitivity, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => !redact::has_harmless_form(key, found, text),
        Value::Array(items) => items.iter().any(|item| is_secret(key, found, item)),
        Value::Object(map) if found == Sensitivity::Scheme => {
            USERS.iter().any(|user| map.get(*user).is_some_and(has_text)) || !is_settings(map)
        }
        Value::Object(map) => !is_reference(map) && map.values().any(has_text),
    }
}

/// Whether a map only refers to a secret elsewhere.
fn is_reference(map: &Map<String, Value>) -> bool {
    map.iter().all(|(key, value)| redact::is_reference_key(key) && refers(value))
}

/// Whether a map configures an authentication method without credentials: `auth: {method: kubernetes, role: app}`.
fn is_settings(map: &Map<String, Value>) -> bool {
    map.iter().all(|(key, value)| match value {
        Value::Object(map) => is_settings(map),
        Value::Array(items) => items.iter().all(|item| {
            !has_text(item) || redact::is_description(key) || matches!(item, Value::Object(map) if is_settings(map))
        }),
        value => !has_text(value) || redact::is_reference_key(key) || redact::is_description(key),
    })
}

fn refers(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => redact::is_reference_value(text),
        Value::Array(items) => items.iter().all(refers),
        Value::Object(map) => is_reference(map),
    }
}

/// Whether a map describes values instead of being one, as in a CustomResourceDefinition.
fn is_schema(map: &Map<String, Value>) -> bool {
    let typed = map.get("type").is_some_and(|kind| {
        matches!(kind.as_str(), Some("object" | "string" | "array" | "integer" | "number" | "boolean"))
    });
    (typed
        || map.contains_key("properties")
        || map.contains_key("$ref")
        || map.keys().any(|key| key.starts_with("x-kubernetes-")))
        && map.keys().all(|key| redact::is_schema_key(key))
}

/// Whether there is any text that could be a secret.
fn has_text(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => !redact::has_harmless_form("", Sensitivity::Secret, text),
        Value::Array(items) => items.iter().any(has_text),
        Value::Object(map) => map.values().any(has_text),
    }
}

/// Redacts the element after a bare flag: `["--password", "…"]`, `["curl", "-u", "user:…"]`.
pub(crate) fn redact_arguments(items: &mut [Value]) {
    let is_curl = items.first().and_then(Value::as_str).is_some_and(|command| command.ends_with("curl"));
    let is_sshpass = items.first().and_then(Value::as_str).is_some_and(|command| command.ends_with("sshpass"));
    for at in 1..items.len() {
        let (before, rest) = items.split_at_mut(at);
        let (Some(Value::String(flag)), Some(Value::String(value))) = (before.last(), rest.first_mut()) else {
            continue;
        };
        if !flag.starts_with('-') {
            continue;
        }
        if (is_curl && matches!(flag.as_str(), "-u" | "--user")) || (is_sshpass && flag == "-p") {
            let start = if is_curl { value.find(':').map(|at| at + 1) } else { Some(0) };
            if let Some(start) = start {
                value.truncate(start);
                value.push_str(REDACTED);
            }
            continue;
        }
        let found = if flag.contains(['=', ' ']) { None } else { redact::sensitivity(flag) };
        if let Some(found) = found
            && !value.starts_with('-')
            && !redact::has_harmless_form(flag, found, value)
        {
            REDACTED.clone_into(value);
        }
    }
}
