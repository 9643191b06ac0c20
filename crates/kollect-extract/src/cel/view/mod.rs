//! Views of JSON as CEL values, without copies.
//!
//! Integers are `int` (Kubernetes has no unsigned ones), unless only `uint` can represent them. Lists and maps have the
//! built-in types: they can be compared with, and added to, built lists and maps.

mod equality;
mod list;
mod map;

pub(super) use equality::equal;

use cel::common::types::{CelBool, CelDouble, CelInt, CelNull, CelString, CelUInt};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use list::JsonList;
use map::JsonMap;
use serde_json::Value;

/// The variable `object`.
pub(super) struct ObjectVariable<'a> {
    root: JsonNode<'a>,
}

impl<'a> ObjectVariable<'a> {
    pub(super) fn new(object: &'a Value) -> Self {
        Self { root: JsonNode::of(object) }
    }
}

impl VariableResolver for ObjectVariable<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        (variable == "object").then(|| CowVal::Borrowed(self.root.as_val()))
    }
}

#[derive(Debug)]
enum JsonNode<'a> {
    Bool(CelBool),
    Int(CelInt),
    UInt(CelUInt),
    Double(CelDouble),
    Null(CelNull),
    Text(CelString<'a>),
    List(JsonList<'a>),
    Map(JsonMap<'a>),
}

impl<'a> JsonNode<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null(CelNull),
            Value::Bool(b) => Self::Bool(CelBool::from(*b)),
            Value::Number(n) => {
                if let Some(i) = n.as_i64() {
                    Self::Int(CelInt::from(i))
                } else if let Some(u) = n.as_u64() {
                    Self::UInt(CelUInt::from(u))
                } else {
                    Self::Double(CelDouble::from(n.as_f64().unwrap_or(f64::NAN)))
                }
            }
            Value::String(s) => Self::Text(CelString::from(s.as_str())),
            Value::Array(items) => Self::List(JsonList::new(items)),
            Value::Object(map) => Self::Map(JsonMap::new(map)),
        }
    }

    fn as_val<'b>(&'b self) -> &'b (dyn Val + 'a) {
        match self {
            Self::Bool(v) => v,
            Self::Int(v) => v,
            Self::UInt(v) => v,
            Self::Double(v) => v,
            Self::Null(v) => v,
            Self::Text(v) => v,
            Self::List(v) => v,
            Self::Map(v) => v,
        }
    }

    fn into_val(self) -> Box<dyn Val + 'a> {
        match self {
            Self::Bool(v) => Box::new(v),
            Self::Int(v) => Box::new(v),
            Self::UInt(v) => Box::new(v),
            Self::Double(v) => Box::new(v),
            Self::Null(v) => Box::new(v),
            Self::Text(v) => Box::new(v),
            Self::List(v) => Box::new(v),
            Self::Map(v) => Box::new(v),
        }
    }
}

/// The methods of `Val` that lists and maps share.
macro_rules! container_accessors {
    () => {
        fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
        where
            Self: 'v,
        {
            Some(self)
        }
        fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
        where
            Self: 'v,
        {
            Some(self)
        }
        fn as_sizer(&self) -> Option<&dyn Sizer> {
            Some(self)
        }
        fn as_container(&self) -> Option<&dyn Container> {
            Some(self)
        }
        fn as_zeroer(&self) -> Option<&dyn Zeroer> {
            Some(self)
        }
        fn equals(&self, other: &dyn Val) -> bool {
            equal(self, other)
        }
    };
}

use container_accessors;

fn size(length: usize) -> CelInt {
    i64::try_from(length).unwrap_or(i64::MAX).into()
}
