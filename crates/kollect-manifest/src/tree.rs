//! Builds a JSON value from the parser events of one YAML document, bounded in depth, nodes and expanded aliases.
//!
//! Nothing recurses over the text, so its nesting cannot exhaust the stack.

use crate::fault::{FaultKind, LineColumn, ManifestFault, ShortKey};
use crate::limits::{MAX_ALIAS_BYTES, MAX_ALIAS_NODES, MAX_DEPTH, MAX_NODES};
use crate::scalar;
use crate::syntax;
use crate::weight::Weight;
use granit_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The value of one document.
#[derive(Debug, Default)]
pub(crate) struct YamlTree {
    /// The root; without the elements that `elements` has.
    pub(crate) root: Value,
    /// The elements of a root list, or of the list `items` of a root map, as JSON: a list of many objects is never one
    /// tree in memory.
    pub(crate) elements: Vec<(String, LineColumn)>,
    /// Where the root begins.
    pub(crate) place: LineColumn,
    /// The root is a map with a list `items`.
    pub(crate) has_items: bool,
}

impl YamlTree {
    /// The whole document as one value.
    pub(crate) fn into_value(self) -> Value {
        let read = |(json, _): (String, LineColumn)| serde_json::from_str::<Value>(&json).unwrap_or_default();
        let Self { root, elements, has_items, .. } = self;
        match root {
            Value::Array(_) if !elements.is_empty() => elements.into_iter().map(read).collect(),
            Value::Object(mut map) if has_items => {
                map.insert(ITEMS.to_owned(), elements.into_iter().map(read).collect());
                Value::Object(map)
            }
            root => root,
        }
    }
}

const ITEMS: &str = "items";

/// Reads the one document of `text`. Places are relative to the text.
pub(crate) fn read(text: &str) -> Result<YamlTree, ManifestFault> {
    let mut parser = Parser::new_from_str_with_options(text, syntax::options());
    let mut builder = Builder::default();
    let mut documents = 0;
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| syntax::fault(text, &error))?;
        let place = syntax::place_of(span.start);
        match event {
            Event::DocumentStart(..) if documents > 0 => return Err(ManifestFault::new(place, FaultKind::AfterEnd)),
            Event::DocumentStart(..) => documents += 1,
            event => {
                builder.take(event, place).map_err(|what| syntax::refine(text, ManifestFault::new(place, what)))?;
            }
        }
    }
    Ok(builder.tree)
}

/// A value with an anchor, and its weight.
struct Anchored {
    value: Value,
    weight: Weight,
}

/// An open map or list.
struct Frame {
    place: LineColumn,
    anchor: usize,
    content: FrameContent,
}

enum FrameContent {
    List(Vec<Value>),
    Map { map: Map<String, Value>, key: Option<MapKey>, merges: Vec<Value> },
}

enum MapKey {
    Text(String),
    Merge,
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    /// Weight of anchors and expanded aliases so far.
    copied: Weight,
    tree: YamlTree,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, place: LineColumn) -> Result<(), FaultKind> {
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, tag.as_deref(), anchor, place),
            Event::Alias(id) => {
                let Some(anchored) = self.anchors.get(&id) else { return Err(FaultKind::RecursiveAlias) };
                let (value, weight) = (anchored.value.clone(), anchored.weight);
                self.charge(weight)?;
                self.add(value, place)
            }
            Event::SequenceStart(_, anchor, _) => self.open(place, anchor, FrameContent::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                self.open(place, anchor, FrameContent::Map { map: Map::new(), key: None, merges: Vec::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize) -> Result<(), FaultKind> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES { Err(FaultKind::TooManyNodes) } else { Ok(()) }
    }

    fn charge(&mut self, weight: Weight) -> Result<(), FaultKind> {
        self.copied.bytes = self.copied.bytes.saturating_add(weight.bytes);
        self.copied.nodes = self.copied.nodes.saturating_add(weight.nodes);
        if self.copied.bytes > MAX_ALIAS_BYTES || self.copied.nodes > MAX_ALIAS_NODES {
            return Err(FaultKind::AliasesTooLarge);
        }
        if self.stack.len() + weight.depth > MAX_DEPTH { Err(FaultKind::TooDeep) } else { Ok(()) }
    }

    fn open(&mut self, place: LineColumn, anchor: usize, content: FrameContent) -> Result<(), FaultKind> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(FaultKind::TooDeep);
        }
        if self.stack.is_empty() {
            self.tree.place = place;
        }
        if self.at_key() {
            return Err(FaultKind::KeyIsNoText);
        }
        self.count(1)?;
        self.stack.push(Frame { place, anchor, content });
        Ok(())
    }

    /// Whether the next node is a key of a map.
    fn at_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { content: FrameContent::Map { key: None, .. }, .. }))
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        anchor: usize,
        place: LineColumn,
    ) -> Result<(), FaultKind> {
        self.count(1)?;
        if self.stack.is_empty() {
            self.tree.place = place;
        }
        if text == "<<"
            && style == ScalarStyle::Plain
            && tag.is_none()
            && let Some(Frame { content: FrameContent::Map { key: key @ None, .. }, .. }) = self.stack.last_mut()
        {
            *key = Some(MapKey::Merge);
            return Ok(());
        }
        let value = scalar::value(text, style, tag)?;
        self.remember(anchor, &value)?;
        self.add(value, place)
    }

    fn remember(&mut self, anchor: usize, value: &Value) -> Result<(), FaultKind> {
        if anchor == 0 {
            return Ok(());
        }
        let weight = Weight::of(value);
        self.copied.bytes = self.copied.bytes.saturating_add(weight.bytes);
        self.copied.nodes = self.copied.nodes.saturating_add(weight.nodes);
        if self.copied.bytes > MAX_ALIAS_BYTES || self.copied.nodes > MAX_ALIAS_NODES {
            return Err(FaultKind::AliasesTooLarge);
        }
        self.anchors.insert(anchor, Anchored { value: value.clone(), weight });
        Ok(())
    }

    fn close(&mut self) -> Result<(), FaultKind> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = match frame.content {
            FrameContent::List(items) => Value::Array(items),
            FrameContent::Map { mut map, merges, .. } => {
                for merged in merges {
                    merge(&mut map, merged)?;
                }
                Value::Object(map)
            }
        };
        self.remember(frame.anchor, &value)?;
        self.add(value, frame.place)
    }

    /// Whether the value that is next is `items` of the root map.
    fn items_are_next(&self) -> bool {
        let Some(Frame { content: FrameContent::Map { key: Some(MapKey::Text(key)), .. }, .. }) = self.stack.first()
        else {
            return false;
        };
        key == ITEMS
    }

    /// Adds a complete node to its parent.
    fn add(&mut self, value: Value, place: LineColumn) -> Result<(), FaultKind> {
        let depth = self.stack.len();
        let is_element = match self.stack.last() {
            // A list with an anchor stays whole, because an alias may copy it.
            Some(Frame { content: FrameContent::List(_), anchor: 0, .. }) => {
                depth == 1 || (depth == 2 && self.items_are_next())
            }
            _ => false,
        };
        if is_element {
            self.tree.elements.push((value.to_string(), place));
            self.nodes = 0;
            return Ok(());
        }
        self.tree.has_items |= depth == 1 && self.items_are_next() && !self.tree.elements.is_empty();
        match self.stack.last_mut() {
            None => self.tree.root = value,
            Some(Frame { content: FrameContent::List(items), .. }) => items.push(value),
            Some(Frame { content: FrameContent::Map { map, key, merges }, .. }) => match key.take() {
                None => {
                    let text = key_text(value)?;
                    if map.contains_key(&text) {
                        return Err(FaultKind::DuplicateKey(ShortKey::new(&text)));
                    }
                    // Reserves the key, so that a repetition is found before its value.
                    map.insert(text.clone(), Value::Null);
                    *key = Some(MapKey::Text(text));
                }
                Some(MapKey::Text(text)) => _ = map.insert(text, value),
                Some(MapKey::Merge) => merges.push(value),
            },
        }
        Ok(())
    }
}

/// Keys are texts in JSON; numbers and booleans are formatted, as in `kubectl`.
fn key_text(key: Value) -> Result<String, FaultKind> {
    match key {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) => Ok(key.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(FaultKind::KeyIsNoText),
    }
}

/// Adds the keys that `map` lacks; earlier maps of a list take precedence.
fn merge(map: &mut Map<String, Value>, merged: Value) -> Result<(), FaultKind> {
    match merged {
        Value::Object(other) => {
            for (key, value) in other {
                map.entry(key).or_insert(value);
            }
            Ok(())
        }
        Value::Array(several) if several.iter().all(Value::is_object) => {
            several.into_iter().try_for_each(|one| merge(map, one))
        }
        _ => Err(FaultKind::BadMerge),
    }
}
