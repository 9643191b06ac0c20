//! Splits a text into objects, one at a time: single objects, lists, arrays, one after the other.
//!
//! Separate and without any idea of files. A list of any size is never held as a whole; what is in memory is one object.

use super::error::TextError;
use super::object::Peek;
use super::pieces::Pieces;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::io::Read;

/// Lists within lists deeper than this are not followed.
const DEEPEST: u32 = 4;

/// Is given each object as JSON, and says whether to go on.
pub(super) type Each<'a> = dyn FnMut(&str) -> bool + 'a;

/// Reads JSON: objects, lists and arrays in any number.
pub(super) fn json(text: impl Read, each: &mut Each<'_>) -> Result<(), TextError> {
    let mut pieces = Pieces::new(text);
    while let Some(first) = pieces.peek()? {
        let go_on = match first {
            b'[' => pieces.elements(&mut |item| hand_out(item, each, 0))?,
            b'{' => members(&mut pieces, each)?,
            _ => {
                let value = pieces.value()?;
                value == "null" || each(value)
            }
        };
        if !go_on {
            return Err(TextError::Stopped);
        }
    }
    Ok(())
}

/// One object, or a list whose items are handed out as they come.
fn members(pieces: &mut Pieces<impl Read>, each: &mut Each<'_>) -> Result<bool, TextError> {
    pieces.take(b'{')?;
    let mut kept: Vec<(String, Box<RawValue>)> = Vec::new();
    let mut is_list = false;
    while pieces.peek()? != Some(b'}') {
        let key: String = serde_json::from_str(pieces.value()?)?;
        pieces.take(b':')?;
        // Of a list, everything but its items is of no use, and kubectl writes the items before the kind.
        let items =
            key == "items" && !kept.iter().any(|(key, value)| key == "kind" && !value.get().ends_with("List\""));
        if items && pieces.peek()? == Some(b'[') {
            is_list = true;
            let (api_version, kind) = list_kind(&kept);
            let mut give = |item: &str| match named(item, &api_version, &kind) {
                Some(named) => hand_out(&named, each, 0),
                None => hand_out(item, each, 0),
            };
            if !pieces.elements(&mut give)? {
                return Ok(false);
            }
        } else {
            let value = pieces.value()?;
            is_list |= items && value == "null";
            if !is_list {
                kept.push((key, RawValue::from_string(value.to_owned())?));
            }
        }
        if pieces.peek()? != Some(b',') {
            break;
        }
        pieces.take(b',')?;
        if pieces.peek()? == Some(b'}') {
            return Err(pieces.wrong(0, "trailing comma"));
        }
    }
    pieces.take(b'}')?;
    Ok(is_list || kept.is_empty() || hand_out(&object_of(&kept), each, 0))
}

/// A value that can be passed on as JSON.
pub(super) trait Piece: DeserializeOwned {
    fn json(&self) -> Cow<'_, str>;
}

impl Piece for Box<RawValue> {
    fn json(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.get())
    }
}

impl Piece for Value {
    fn json(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

/// Takes one top-level value apart.
pub(super) struct Top<'a, 'f, P> {
    each: &'a mut Each<'f>,
    stopped: &'a mut bool,
    piece: std::marker::PhantomData<P>,
}

impl<'a, 'f, P: Piece> Top<'a, 'f, P> {
    pub(super) fn new(each: &'a mut Each<'f>, stopped: &'a mut bool) -> Self {
        Self { each, stopped, piece: std::marker::PhantomData }
    }

    fn give(&mut self, object: &str) -> bool {
        let go_on = hand_out(object, self.each, 0);
        *self.stopped |= !go_on;
        go_on
    }
}

/// Hands an object out, or the objects of a list.
fn hand_out(object: &str, each: &mut Each<'_>, depth: u32) -> bool {
    let list =
        if object.contains("\"items\"") && depth < DEEPEST { Peek::read(object).filter(Peek::is_list) } else { None };
    let Some(list) = list else { return each(object) };
    let items: Vec<&RawValue> = list.items.and_then(|items| serde_json::from_str(items.get()).ok()).unwrap_or_default();
    let (api_version, kind) = (list.api_version.as_ref(), list.kind.trim_end_matches("List"));
    items.iter().all(|item| match named(item.get(), api_version, kind) {
        Some(named) => hand_out(&named, each, depth + 1),
        None => hand_out(item.get(), each, depth + 1),
    })
}

/// Items of `PodList` and the like need not say that they are Pods.
fn named(item: &str, api_version: &str, kind: &str) -> Option<String> {
    if kind.is_empty() || api_version.is_empty() || Peek::read(item).is_some() {
        return None;
    }
    let mut object: Value = serde_json::from_str(item).ok()?;
    let fields = object.as_object_mut().filter(|fields| fields.contains_key("metadata"))?;
    fields.insert("apiVersion".into(), api_version.into());
    fields.insert("kind".into(), kind.into());
    Some(object.to_string())
}

impl<'de, P: Piece> DeserializeSeed<'de> for Top<'_, '_, P> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de, P: Piece> Visitor<'de> for Top<'_, '_, P> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object or a list of them")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<P>()? {
            if !self.give(&item.json()) {
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        let mut kept: Vec<(String, P)> = Vec::new();
        let mut is_list = false;
        while let Some(key) = fields.next_key::<String>()? {
            // Of a list, everything but its items is of no use, and kubectl writes the items before the kind.
            if key == "items" && !kept.iter().any(|(key, value)| key == "kind" && !value.json().ends_with("List\"")) {
                is_list |= fields.next_value_seed(Items { top: &mut self, list: list_kind(&kept) })?;
            } else if is_list {
                fields.next_value::<IgnoredAny>()?;
            } else {
                kept.push((key, fields.next_value()?));
            }
        }
        if !is_list && !kept.is_empty() && !self.give(&object_of(&kept)) {
            return Err(A::Error::custom("stopped"));
        }
        Ok(())
    }
}

/// `apiVersion` and kind of the items of a list that has said its own.
fn list_kind<P: Piece>(kept: &[(String, P)]) -> (String, String) {
    let text = |name: &str| {
        let value = kept.iter().find(|(key, _)| key == name).map(|(_, value)| value.json());
        value.and_then(|json| serde_json::from_str::<String>(&json).ok()).unwrap_or_default()
    };
    let kind = text("kind").trim_end_matches("List").to_owned();
    (text("apiVersion"), kind)
}

fn object_of<P: Piece>(fields: &[(String, P)]) -> String {
    let values: Vec<Cow<'_, str>> = fields.iter().map(|(_, value)| value.json()).collect();
    let mut object = String::with_capacity(values.iter().map(|value| value.len() + 24).sum());
    for (at, ((key, _), value)) in fields.iter().zip(values).enumerate() {
        object.push(if at == 0 { '{' } else { ',' });
        object.push_str(&Value::from(key.as_str()).to_string());
        object.push(':');
        object.push_str(&value);
    }
    object.push('}');
    object
}

/// The items of a list; says whether it was one.
struct Items<'t, 'a, 'f, P> {
    top: &'t mut Top<'a, 'f, P>,
    list: (String, String),
}

impl<'de, P: Piece> DeserializeSeed<'de> for Items<'_, '_, '_, P> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de, P: Piece> Visitor<'de> for Items<'_, '_, '_, P> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the items of a list")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        while let Some(item) = items.next_element::<P>()? {
            let json = item.json();
            let (api_version, kind) = &self.list;
            let go_on = match named(&json, api_version, kind) {
                Some(named) => self.top.give(&named),
                None => self.top.give(&json),
            };
            if !go_on {
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let mut names = Vec::new();
        json(text.as_bytes(), &mut |object| {
            let peek = Peek::read(object);
            names.push(peek.map_or_else(|| "?".to_owned(), |peek| format!("{} {}", peek.kind, peek.metadata.name)));
            true
        })
        .unwrap();
        names
    }

    const A: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
    const B: &str = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"b"}}"#;

    #[test]
    fn every_way_to_write_several_objects_is_read() {
        let both = ["ConfigMap a", "Secret b"];
        for text in [
            format!("{A}\n{B}\n"),
            format!("{A}{B}"),
            format!("[{A},{B}]"),
            format!(r#"{{"apiVersion":"v1","kind":"List","items":[{A},{B}]}}"#),
            format!(r#"{{"apiVersion":"v1","items":[{A},{B}],"kind":"List","metadata":{{"resourceVersion":""}}}}"#),
            format!(
                r#"{{"apiVersion":"v1","items":[{{"apiVersion":"v1","items":[{A}],"kind":"List"}},{B}],"kind":"List"}}"#
            ),
        ] {
            assert_eq!(names(&text), both, "{text}");
        }
        assert!(names("").is_empty() && names(" \n").is_empty() && names("null").is_empty());
        assert!(names(r#"{"kind":"List","apiVersion":"v1","items":null}"#).is_empty());
        assert_eq!(names(r#"{"items":[1,{}]}"#), ["?", "?"]);
    }

    #[test]
    fn items_of_a_typed_list_get_its_kind() {
        let item = r#"{"metadata":{"name":"a"}}"#;
        let list = format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{}},"items":[{item}]}}"#);
        assert_eq!(names(&list), ["Pod a"]);
        assert_eq!(names(&format!("[{list}]")), ["Pod a"]);
    }

    #[test]
    fn a_kind_that_has_items_of_its_own_is_one_object() {
        let object = r#"{"apiVersion":"x/v1","kind":"Basket","metadata":{"name":"a"},"items":[{"fruit":"apple"}]}"#;
        assert_eq!(names(object), ["Basket a"]);
    }

    #[test]
    fn broken_text_is_named_by_line_and_not_repeated() {
        let broken = format!("{A}\n{{\"password\": \"hunter2\", oops}}\n");
        let Err(TextError::Syntax { line, why }) = json(broken.as_bytes(), &mut |_| true) else { panic!() };
        assert_eq!(line, 2);
        assert!(why.contains("not valid JSON") && !why.contains("hunter2"), "{why}");
        assert!(json(&b"{\"a\":"[..], &mut |_| true).is_err(), "cut off");
    }
}
