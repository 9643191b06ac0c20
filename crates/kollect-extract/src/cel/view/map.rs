//! A JSON object as a CEL map.

use super::super::size;
use super::{JsonNode, container_accessors, equal};
use crate::budget;
use cel::ExecutionError;
use cel::common::traits::{self, Container, Indexer, Iterable, Sizer, Zeroer};
use cel::common::types::{self, CelInt, CelString, Type};
use cel::common::value::{CowVal, Val};
use serde_json::{Map, Value};
use std::sync::OnceLock;

#[derive(Debug)]
pub(super) struct JsonMap<'a> {
    map: &'a Map<String, Value>,
    keys: OnceLock<Box<[CelString<'a>]>>,
}

struct Keys<'b, 'a>(std::slice::Iter<'b, CelString<'a>>);

impl<'b, 'a: 'v, 'v> traits::Iterator<'b, 'v> for Keys<'b, 'a> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        self.0.next().map(|key| key as &(dyn Val + 'v))
    }
}

impl Val for JsonMap<'_> {
    fn get_type(&self) -> &Type {
        &types::MAP_TYPE
    }
    fn cel_type() -> &'static Type {
        &types::MAP_TYPE
    }
    container_accessors!();
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(JsonMap::new(self.map))
    }
}

impl Sizer for JsonMap<'_> {
    fn size(&self) -> CelInt {
        super::size(self.map.len())
    }
}

impl Zeroer for JsonMap<'_> {
    fn is_zero_value(&self) -> bool {
        self.map.is_empty()
    }
}

impl Container for JsonMap<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.at(key).is_ok())
    }
}

impl<'a> JsonMap<'a> {
    pub(super) fn new(map: &'a Map<String, Value>) -> Self {
        Self { map, keys: OnceLock::new() }
    }

    fn at(&self, key: &dyn Val) -> Result<JsonNode<'a>, ExecutionError> {
        // A lookup compares the key with several others.
        budget::charge(1 + size::text_bytes(key) / 8)?;
        key.downcast_ref::<CelString>()
            .and_then(|key| self.map.get(key.inner()))
            .map(JsonNode::of)
            .ok_or_else(|| ExecutionError::no_such_key(""))
    }
}

impl Indexer for JsonMap<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(CowVal::Owned(self.at(key)?.into_val()))
    }
    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(self.at(key)?.into_val())
    }
}

impl Iterable for JsonMap<'_> {
    fn iter<'b, 'v>(&'b self) -> Box<dyn traits::Iterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        let keys = self.keys.get_or_init(|| {
            let _ = budget::charge(self.map.len() / 8);
            self.map.keys().map(|key| CelString::from(key.as_str())).collect()
        });
        Box::new(Keys(keys.iter()))
    }
}
