//! JSONPath in the dialect of kubectl: a parser and an evaluator over borrowed JSON.
//!
//! Own code because no library speaks this dialect (`\.` escapes, `['a']` read again as `.a`, one comparison per
//! filter, optional `$`). It must not know attributes, scrubbing or CEL.

mod compare;
mod evaluate;
mod filter;
mod mask;
mod parse;

pub(crate) use evaluate::Found;
pub use mask::places_of_several_matches;
use serde_json::Value;

/// A compiled path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// `.name` or `['name']`
    Field(Box<str>),
    /// `.*`
    Wildcard,
    /// `..`
    Recursive,
    /// `[n]`, `[a:b:c]` or `[*]`
    Slice(Slice),
    /// `[a,b]`
    Union(Vec<Vec<Step>>),
    /// `[?(…)]`
    Filter(Box<Filter>),
    /// Text, number or truth value written in the path.
    Literal(Value),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slice {
    start: Option<i64>,
    end: Option<i64>,
    /// `[n]`: the end was not written.
    single: bool,
    step: Option<i64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Vec<Step>,
    /// `None` is an existence test.
    right: Option<(Operator, Vec<Step>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}
