//! Metadata of an object. Read strictly for matching; read leniently to name an object whose metadata is invalid.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What the selectors read of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ObjectHead<'a> {
    /// Name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(borrow)]
    pub namespace: Cow<'a, str>,
    /// UID.
    #[serde(borrow)]
    pub uid: Cow<'a, str>,
    /// Labels. A label that is `null` is none.
    #[serde(deserialize_with = "without_nulls")]
    pub labels: BTreeMap<String, String>,
}

/// Invalid metadata.
#[derive(Debug)]
pub struct UnreadableHead {
    /// As much of it as can be read.
    pub head: ObjectHead<'static>,
    /// The namespace can be read, or there is none.
    pub knows_namespace: bool,
    /// Which field is invalid and what to do; no values.
    pub why: String,
}

fn without_nulls<'de, D: Deserializer<'de>>(reader: D) -> Result<BTreeMap<String, String>, D::Error> {
    let labels = Option::<BTreeMap<String, Option<String>>>::deserialize(reader)?.unwrap_or_default();
    Ok(labels.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    metadata: ObjectHead<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawObject<'a> {
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

impl<'a> ObjectHead<'a> {
    /// Reads the metadata of an object that has a name.
    pub fn read(raw: &'a str) -> Result<Self, Box<UnreadableHead>> {
        match serde_json::from_str::<Object<'a>>(raw) {
            Ok(object) if !object.metadata.name.is_empty() => Ok(object.metadata),
            _ => Self::read_leniently(raw),
        }
    }

    fn read_leniently(raw: &str) -> Result<ObjectHead<'static>, Box<UnreadableHead>> {
        let bad = |head: ObjectHead<'static>, why: &str| {
            Err(Box::new(UnreadableHead { head, knows_namespace: false, why: why.to_owned() }))
        };
        let Ok(object) = serde_json::from_str::<RawObject<'_>>(raw) else {
            return bad(ObjectHead::default(), "it is not a JSON object that can be read");
        };
        let Some(metadata) = object.metadata else { return bad(ObjectHead::default(), "it has no metadata") };
        let Ok(fields) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(metadata.get()) else {
            return bad(ObjectHead::default(), &format!("metadata is {}, not a map", kind_of(metadata)));
        };
        let mut why: Option<String> = None;
        let mut text = |key: &str| match text_of(fields.get(key).copied()) {
            Ok(text) => (Cow::Owned(text), true),
            Err(kind) => {
                why.get_or_insert_with(|| format!("metadata.{key} is {kind}, not text; quote it"));
                (Cow::default(), false)
            }
        };
        let (namespace, knows_namespace) = text("namespace");
        let ((name, knows_name), (uid, _)) = (text("name"), text("uid"));
        let (labels, problem) = labels_of(fields.get("labels").copied(), "metadata.labels");
        why = why.or(problem);
        let head = ObjectHead { name, namespace, uid, labels };
        if why.is_none() && knows_name && head.name.is_empty() {
            let remedy = "it has no metadata.name; give it one";
            let generated = fields.get("generateName").is_some_and(|name| name.get() != "null");
            let reason = if generated { " (generateName names objects only while a cluster creates them)" } else { "" };
            why = Some(format!("{remedy}{reason}"));
        }
        match why {
            None => Ok(head),
            Some(why) => Err(Box::new(UnreadableHead { head, knows_namespace, why })),
        }
    }
}

/// The text values of a map of labels or annotations, and a message about the first value that is not text.
pub(crate) fn labels_of(raw: Option<&RawValue>, field: &str) -> (BTreeMap<String, String>, Option<String>) {
    let mut labels = BTreeMap::new();
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return (labels, None) };
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()) else {
        return (labels, Some(format!("{field} is {}, not a map", kind_of(raw))));
    };
    let mut why = None;
    for (key, value) in fields {
        match text_of(Some(value)) {
            Ok(_) if value.get() == "null" => {}
            Ok(text) => _ = labels.insert(key, text),
            Err(kind) => {
                why.get_or_insert_with(|| {
                    let cut = key.floor_char_boundary(key.len().min(128));
                    format!("{field}[{:?}] is {kind}, not text; quote it", &key[..cut])
                });
            }
        }
    }
    (labels, why)
}

/// A text; empty if absent or `null`. The error names the JSON type.
pub(crate) fn text_of(raw: Option<&RawValue>) -> Result<String, &'static str> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(String::new()) };
    serde_json::from_str(raw.get()).map_err(|_| kind_of(raw))
}

fn kind_of(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'"') => "text",
        Some(b'{') => "a map",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_absent_and_everything_else_that_is_no_text_is_named() {
        for (metadata, wanted) in [
            (r#"{"name":"a","namespace":"shop","uid":"u","labels":{"x":"y"}}"#, "a shop u x=y"),
            (r#"{"name":"a","namespace":null,"uid":null,"labels":null}"#, "a   "),
            (r#"{"name":"a","labels":{"x":null,"y":"z"}}"#, "a   y=z"),
            (r#"{"name":"\u0061"}"#, "a   "),
        ] {
            let raw = format!(r#"{{"metadata":{metadata}}}"#);
            let head = ObjectHead::read(&raw).unwrap();
            let labels: Vec<_> = head.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            assert_eq!(format!("{} {} {} {}", head.name, head.namespace, head.uid, labels.join(",")), wanted);
        }
        for (metadata, why, head) in [
            (
                r#"{"name":"a","namespace":"shop","uid":"u","labels":{"x":5}}"#,
                "metadata.labels[\"x\"] is a number",
                "a shop u",
            ),
            (r#"{"name":"a","uid":"u","labels":{"x":true}}"#, "metadata.labels[\"x\"] is true or false", "a  u"),
            (r#"{"name":"a","uid":"u","labels":["x"]}"#, "metadata.labels is a list, not a map", "a  u"),
            (r#"{"name":"a","uid":"u","labels":{"x":{}}}"#, "metadata.labels[\"x\"] is a map", "a  u"),
            (r#"{"name":7,"namespace":"shop","uid":"u"}"#, "metadata.name is a number, not text", " shop u"),
            (r#"{"name":"a","namespace":{},"uid":"u"}"#, "metadata.namespace is a map", "a  u"),
            (r#"{"name":"a","uid":1}"#, "metadata.uid is a number", "a  "),
            (r#"{"generateName":"a-"}"#, "no metadata.name; give it one (generateName", "  "),
            (r#"{"name":""}"#, "it has no metadata.name; give it one", "  "),
            ("[]", "metadata is a list, not a map", "  "),
            ("null", "it has no metadata", "  "),
        ] {
            let bad = ObjectHead::read(&format!(r#"{{"metadata":{metadata}}}"#)).unwrap_err();
            assert!(bad.why.contains(why), "{metadata}: {}", bad.why);
            assert_eq!(format!("{} {} {}", bad.head.name, bad.head.namespace, bad.head.uid), head, "{metadata}");
            assert_eq!(
                bad.knows_namespace,
                !metadata.contains("\"namespace\":{") && metadata.starts_with('{'),
                "{metadata}"
            );
        }
        assert_eq!(ObjectHead::read("{}").unwrap_err().why, "it has no metadata");
    }
}
