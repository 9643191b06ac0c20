//! Evaluates a path; matches are borrowed from the object.
//!
//! Missing keys match nothing, and null is an empty list. Indexes outside of a list, filters and slices of something that is no list, and
//! comparisons of different types are errors. Keys are visited in sorted order.

use super::{Filter, JsonPath, PathStep, Slice, compare};
use crate::budget;
use crate::error::{ErrorClass, EvalError};
use serde_json::Value;

/// Most matches of any step.
const MAX_MATCHES: usize = 65_536;
/// serde_json refuses deeper input, so only a hand-made value could be deeper than this.
const MAX_DEPTH: usize = 160;

/// The matches of a path.
#[derive(Debug, PartialEq)]
pub(crate) enum PathMatches<'a> {
    Nothing,
    One(&'a Value),
    Many(Vec<&'a Value>),
}

impl JsonPath {
    /// All matches in document order.
    pub(crate) fn evaluate<'a>(&'a self, object: &'a Value) -> Result<PathMatches<'a>, EvalError> {
        budget::charge(1 + self.steps.len())?;
        let mut current = object;
        let mut rest = self.steps.as_slice();
        while let [PathStep::Field(name), tail @ ..] = rest {
            let Some(value) = current.as_object().and_then(|map| map.get(&**name)) else {
                return Ok(PathMatches::Nothing);
            };
            current = value;
            rest = tail;
        }
        if rest.is_empty() {
            return Ok(PathMatches::One(current));
        }
        let mut matches = walk(rest, vec![current])?;
        Ok(match matches.len() {
            0 => PathMatches::Nothing,
            1 => matches.pop().map_or(PathMatches::Nothing, PathMatches::One),
            _ => PathMatches::Many(matches),
        })
    }
}

fn walk<'a>(steps: &'a [PathStep], mut matches: Vec<&'a Value>) -> Result<Vec<&'a Value>, EvalError> {
    for step in steps {
        matches = apply(step, matches)?;
        check_matches(matches.len())?;
    }
    Ok(matches)
}

fn apply<'a>(step: &'a PathStep, input: Vec<&'a Value>) -> Result<Vec<&'a Value>, EvalError> {
    let mut out = Vec::new();
    budget::charge(1 + input.len())?;
    match step {
        PathStep::Field(name) => {
            out.extend(input.iter().filter_map(|value| value.as_object()).filter_map(|map| map.get(&**name)));
        }
        PathStep::Wildcard => {
            for value in input {
                bounded_extend(&mut out, children(value))?;
            }
        }
        PathStep::Recursive => {
            for value in input {
                descend(value, &mut out, 0)?;
            }
        }
        PathStep::Slice(slice) => {
            for value in input {
                match value {
                    Value::Array(items) => take_slice(*slice, items, &mut out)?,
                    Value::Null => {}
                    _ => return Err(EvalError::wrong_type("an index or [*] was applied to something that is no list")),
                }
            }
        }
        PathStep::Union(branches) => {
            for branch in branches {
                budget::charge(input.len())?;
                bounded_extend(&mut out, walk(branch, input.clone())?.into_iter())?;
            }
        }
        PathStep::Filter(filter) => {
            for value in input {
                let items = match value {
                    Value::Array(items) => items,
                    Value::Null => continue,
                    _ => return Err(EvalError::wrong_type("a filter was applied to something that is no list")),
                };
                for item in items {
                    check_matches(out.len())?;
                    if passes(filter, item)? {
                        out.push(item);
                    }
                }
            }
        }
        PathStep::Literal(value) => match value {
            // A string replaces the matches; numbers and truth values replace each of them.
            Value::String(_) => out.push(value),
            _ => out.extend(input.iter().map(|_| value)),
        },
    }
    Ok(out)
}

fn bounded_extend<'a>(out: &mut Vec<&'a Value>, more: impl Iterator<Item = &'a Value>) -> Result<(), EvalError> {
    let before = out.len();
    out.extend(more.take(MAX_MATCHES + 1));
    budget::charge(out.len() - before)?;
    check_matches(out.len())
}

fn check_matches(matches: usize) -> Result<(), EvalError> {
    if matches <= MAX_MATCHES {
        return Ok(());
    }
    Err(EvalError::limit(format!("the path has more than {MAX_MATCHES} matches; select fewer")))
}

fn children<'a>(value: &'a Value) -> Box<dyn Iterator<Item = &'a Value> + 'a> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(map) => Box::new(map.values()),
        _ => Box::new(std::iter::empty()),
    }
}

/// The value and everything below it that has children, parents first.
fn descend<'a>(value: &'a Value, out: &mut Vec<&'a Value>, depth: usize) -> Result<(), EvalError> {
    if depth > MAX_DEPTH {
        return Err(EvalError::limit(format!("the object is more than {MAX_DEPTH} levels deep")));
    }
    budget::charge(1)?;
    check_matches(out.len())?;
    let mut children = children(value).peekable();
    if children.peek().is_some() {
        out.push(value);
        for child in children {
            descend(child, out, depth + 1)?;
        }
    }
    Ok(())
}

fn take_slice<'a>(slice: Slice, items: &'a [Value], out: &mut Vec<&'a Value>) -> Result<(), EvalError> {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let mut start = slice.start.unwrap_or(0);
    if start < 0 {
        start = start.saturating_add(length);
    }
    let mut end = slice.end.unwrap_or(length);
    if end < 0 || (end == 0 && slice.single) {
        end = end.saturating_add(length);
    }
    if start == end {
        return Ok(());
    }
    let out_of_range = || EvalError::new(ErrorClass::OutOfRange, "an index is outside of the list");
    if start < 0 || start >= length || end < 0 || end > length || start > end {
        return Err(out_of_range());
    }
    let step = slice.step.unwrap_or(1);
    if step <= 0 {
        return Err(EvalError::new(ErrorClass::OutOfRange, "the step of a slice must be positive"));
    }
    let (start, end, step) = (usize::try_from(start), usize::try_from(end), usize::try_from(step));
    let (Ok(start), Ok(end), Ok(step)) = (start, end, step) else { return Err(out_of_range()) };
    bounded_extend(out, items[start..end].iter().step_by(step))
}

fn passes(filter: &Filter, item: &Value) -> Result<bool, EvalError> {
    // Filters cannot nest: the text of one ends at its first parenthesis, so this recursion is one level deep.
    let Some((operator, right)) = &filter.right else {
        return match walk(&filter.left, vec![item]) {
            Ok(matches) => Ok(!matches.is_empty()),
            Err(error) if error.class == ErrorClass::Limit => Err(error),
            Err(_) => Ok(false),
        };
    };
    let left = walk(&filter.left, vec![item])?;
    let [left] = left.as_slice() else { return one_at_a_time(&left) };
    let right = walk(right, vec![item])?;
    let [right] = right.as_slice() else { return one_at_a_time(&right) };
    compare::holds(*operator, left, right)
}

fn one_at_a_time(matches: &[&Value]) -> Result<bool, EvalError> {
    if matches.is_empty() {
        Ok(false)
    } else {
        Err(EvalError::wrong_type("a filter can compare only one value at a time"))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
