//! Lists of objects: how they are recognised, and what their items inherit.

use crate::fault::LineColumn;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Receives an object as JSON and its place; returns whether to continue.
pub(crate) type EachObject<'a> = dyn FnMut(&str, LineColumn) -> bool + 'a;

/// The fields by which a list is recognised.
#[derive(Debug, Default)]
pub(crate) struct ListHead {
    pub(crate) kind: String,
    pub(crate) api_version: String,
    /// Lists have metadata, but no name.
    pub(crate) has_name: bool,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Raw<'a> {
    #[serde(borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    api_version: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    items: Option<&'a RawValue>,
}

/// Distinguishes `null` from an absent field.
fn present<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(reader).map(Some)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Name<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
}

fn text(raw: Option<&RawValue>) -> String {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

impl ListHead {
    fn of(raw: &Raw<'_>) -> Self {
        let mut head = Self { kind: text(raw.kind), api_version: text(raw.api_version), has_name: false };
        head.note_metadata(raw.metadata.map_or("", RawValue::get));
        head
    }

    pub(crate) fn of_value(map: &Value) -> Self {
        let text = |key: &str| map[key].as_str().unwrap_or_default().to_owned();
        Self {
            kind: text("kind"),
            api_version: text("apiVersion"),
            has_name: map["metadata"].get("name").is_some_and(|name| !name.is_null()),
        }
    }

    pub(crate) fn note_metadata(&mut self, json: &str) {
        self.has_name |= serde_json::from_str::<Name<'_>>(json).is_ok_and(|name| name.name.is_some());
    }

    /// By kind, in any position: `List` and `FooList`, unless the object has a name.
    pub(crate) fn is_list(&self) -> bool {
        self.kind.ends_with("List") && !self.has_name
    }

    fn item_kind(&self) -> &str {
        self.kind.strip_suffix("List").unwrap_or_default()
    }

    /// The item with the kind and apiVersion that its list implies; `None` when it has both.
    pub(crate) fn named(&self, item: &str) -> Option<String> {
        if self.item_kind().is_empty() || self.api_version.is_empty() || !item.trim_start().starts_with('{') {
            return None;
        }
        let raw: Raw<'_> = serde_json::from_str(item).ok()?;
        if raw.kind.is_some() && raw.api_version.is_some() {
            return None;
        }
        let mut object: Value = serde_json::from_str(item).ok()?;
        let fields = object.as_object_mut()?;
        for (key, value) in [("apiVersion", self.api_version.as_str()), ("kind", self.item_kind())] {
            let field = fields.entry(key).or_insert(Value::Null);
            if field.is_null() {
                *field = value.into();
            }
        }
        Some(object.to_string())
    }
}

/// Emits an object, or the items of a list.
pub(crate) fn emit(json: &str, place: LineColumn, each: &mut EachObject<'_>) -> bool {
    let Some((head, items)) = list_of(json) else { return each(json, place) };
    let items: Vec<&RawValue> = serde_json::from_str(items).unwrap_or_default();
    emit_items(json, place, &items, &head, each)
}

/// Emits the elements of an array.
pub(crate) fn emit_array(json: &str, place: LineColumn, each: &mut EachObject<'_>) -> bool {
    let items: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
    emit_items(json, place, &items, &ListHead::default(), each)
}

fn emit_items(json: &str, place: LineColumn, items: &[&RawValue], head: &ListHead, each: &mut EachObject<'_>) -> bool {
    let (mut from, mut place) = (0, place);
    items.iter().all(|item| {
        let item = item.get();
        let at = (item.as_ptr() as usize).saturating_sub(json.as_ptr() as usize);
        place = place.advanced(&json.as_bytes()[from..], at - from);
        from = at;
        match head.named(item) {
            Some(named) => emit(&named, place, each),
            None => emit(item, place, each),
        }
    })
}

/// The head and the items of a list; `None` for anything else.
fn list_of(json: &str) -> Option<(ListHead, &str)> {
    if !json.contains("List\"") {
        return None;
    }
    let raw: Raw<'_> = serde_json::from_str(json).ok()?;
    let head = ListHead::of(&raw);
    let items = match raw.items {
        None if head.kind == "List" => "[]",
        Some(items) if items.get() == "null" => "[]",
        Some(items) if items.get().starts_with('[') => items.get(),
        _ => return None,
    };
    head.is_list().then_some((head, items))
}
