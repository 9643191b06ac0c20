//! A JSON array as a CEL list.

use super::{JsonNode, container_accessors, equal};
use crate::budget;
use cel::ExecutionError;
use cel::common::traits::{self, Adder, Container, Indexer, Iterable, Sizer, Zeroer};
use cel::common::types::{self, CelDouble, CelInt, CelList, CelUInt, Type};
use cel::common::value::{CowVal, Val};
use serde_json::Value;
use std::sync::OnceLock;

#[derive(Debug)]
pub(super) struct JsonList<'a> {
    items: &'a [Value],
    /// Built by the first loop: an iterator must return references.
    nodes: OnceLock<Box<[JsonNode<'a>]>>,
}

struct Nodes<'b, 'a>(std::slice::Iter<'b, JsonNode<'a>>);

impl<'b, 'a: 'v, 'v> traits::Iterator<'b, 'v> for Nodes<'b, 'a> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        self.0.next().map(|node| node.as_val() as &(dyn Val + 'v))
    }
}

impl Val for JsonList<'_> {
    fn get_type(&self) -> &Type {
        &types::LIST_TYPE
    }
    fn cel_type() -> &'static Type {
        &types::LIST_TYPE
    }
    fn as_adder<'b, 'v>(&'b self) -> Option<&'b (dyn Adder + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    container_accessors!();
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(JsonList::new(self.items))
    }
}

impl Sizer for JsonList<'_> {
    fn size(&self) -> CelInt {
        super::size(self.items.len())
    }
}

impl Zeroer for JsonList<'_> {
    fn is_zero_value(&self) -> bool {
        self.items.is_empty()
    }
}

impl Container for JsonList<'_> {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        budget::charge(1 + self.items.len() / 8)?;
        Ok(self.items.iter().any(|item| equal(JsonNode::of(item).as_val(), value)))
    }
}

impl Adder for JsonList<'_> {
    fn add<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let Some(more) = rhs.as_iterable() else {
            return Err(ExecutionError::no_such_overload("_+_", vec!["list".into(), rhs.get_type().name().into()]));
        };
        let mut all: Vec<Box<dyn Val + 'v>> =
            self.items.iter().map(|item| JsonNode::of(item).into_val() as _).collect();
        let mut more = more.iter();
        while let Some(item) = more.next() {
            all.push(item.clone_as_boxed());
        }
        Ok(CowVal::owned(CelList::from(all)))
    }
}

impl<'a> JsonList<'a> {
    pub(super) fn new(items: &'a [Value]) -> Self {
        Self { items, nodes: OnceLock::new() }
    }

    fn at(&self, index: &dyn Val) -> Result<JsonNode<'a>, ExecutionError> {
        let position = if let Some(i) = index.downcast_ref::<CelInt>() {
            usize::try_from(*i.inner()).ok()
        } else if let Some(u) = index.downcast_ref::<CelUInt>() {
            usize::try_from(*u.inner()).ok()
        } else if let Some(whole) = index.downcast_ref::<CelDouble>().filter(|d| d.inner().fract() == 0.0) {
            format!("{:.0}", whole.inner()).parse().ok()
        } else {
            let name = index.get_type().name().to_owned();
            return Err(ExecutionError::no_such_overload("_[_]", vec!["list".to_owned(), name]));
        };
        position
            .and_then(|position| self.items.get(position))
            .map(JsonNode::of)
            .ok_or(ExecutionError::IndexOutOfBounds(cel::Value::Null))
    }
}

impl Indexer for JsonList<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(CowVal::Owned(self.at(index)?.into_val()))
    }
    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(self.at(index)?.into_val())
    }
}

impl Iterable for JsonList<'_> {
    fn iter<'b, 'v>(&'b self) -> Box<dyn traits::Iterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        let nodes = self.nodes.get_or_init(|| {
            // A loop that ends early is charged for the whole list.
            let _ = budget::charge(self.items.len() / 8);
            self.items.iter().map(JsonNode::of).collect()
        });
        Box::new(Nodes(nodes.iter()))
    }
}
