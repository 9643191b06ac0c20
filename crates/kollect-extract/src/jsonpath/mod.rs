//! JSONPath in the dialect of kubectl: a parser and an evaluator over borrowed JSON.
//!
//! No library implements this dialect (`\.` escapes, `['a']` parsed again as `.a`, one comparison per filter, optional
//! `$`). It must not know attributes, scrubbing or CEL.

mod compare;
mod evaluate;
mod filter;
mod mask;
mod parse;

pub(crate) use evaluate::PathMatches;
pub use mask::places_of_several_matches;
use serde_json::Value;

/// A compiled path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath {
    steps: Vec<PathStep>,
}

#[derive(Clone, Debug, PartialEq)]
enum PathStep {
    /// `.name` or `['name']`
    Field(Box<str>),
    /// `.*`
    Wildcard,
    /// `..`
    Recursive,
    /// `[n]`, `[a:b:c]` or `[*]`
    Slice(Slice),
    /// `[a,b]`
    Union(Vec<Vec<PathStep>>),
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
    left: Vec<PathStep>,
    /// `None` is an existence test.
    right: Option<(Operator, Vec<PathStep>)>,
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
