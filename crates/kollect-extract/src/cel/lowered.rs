//! Evaluates lowered expressions over borrowed JSON with CEL semantics: selections, tests for presence, literals,
//! comparisons, conditions, `size()` and `list.map(x, x.path)`.
//!
//! A test compares the results with the interpreter on many objects.

use crate::budget;
use crate::error::{ErrorClass, EvalError};
use serde_json::Value;

/// Lists and maps are compared to this depth; JSON of objects is at most 128 deep.
const MAX_COMPARED_DEPTH: usize = 300;

/// The result of an expression.
#[derive(Debug, PartialEq)]
pub(crate) enum ProgramOutput<'a> {
    Ref(&'a Value),
    List(Vec<&'a Value>),
    Made(Value),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lowered {
    Select(Vec<LookupKey>),
    Has(Vec<LookupKey>, Box<str>),
    Literal(Value),
    Equal(Box<[Self; 2]>),
    NotEqual(Box<[Self; 2]>),
    Not(Box<Self>),
    And(Box<[Self; 2]>),
    Or(Box<[Self; 2]>),
    If(Box<[Self; 3]>),
    Size(Box<Self>),
    /// `list.map(x, x.keys)`
    Map(Box<Self>, Vec<LookupKey>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum LookupKey {
    Field(Box<str>),
    Index(i64),
}

impl Lowered {
    pub(super) fn evaluate<'a>(&'a self, object: &'a Value) -> Result<ProgramOutput<'a>, EvalError> {
        Ok(match self {
            Self::Select(keys) => ProgramOutput::Ref(select(object, keys)?),
            Self::Has(keys, field) => match select(object, keys)? {
                Value::Object(map) => truth(map.contains_key(&**field)),
                _ => return Err(wrong_type()),
            },
            Self::Literal(value) => ProgramOutput::Ref(value),
            Self::Equal(sides) => truth(equal_sides(sides, object)?),
            Self::NotEqual(sides) => truth(!equal_sides(sides, object)?),
            Self::Not(operand) => truth(!operand.test(object)?),
            Self::And(sides) => truth(decided_by(false, sides, object)?),
            Self::Or(sides) => truth(decided_by(true, sides, object)?),
            Self::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                return if condition.test(object)? { then.evaluate(object) } else { otherwise.evaluate(object) };
            }
            Self::Size(operand) => {
                let size = match operand.evaluate(object)? {
                    ProgramOutput::Ref(Value::Array(items)) => items.len(),
                    ProgramOutput::Ref(Value::Object(map)) => map.len(),
                    ProgramOutput::Ref(Value::String(text)) => {
                        budget::charge_bytes(text.len())?;
                        text.chars().count()
                    }
                    ProgramOutput::List(items) => items.len(),
                    _ => return Err(wrong_type()),
                };
                ProgramOutput::Made(Value::from(size))
            }
            Self::Map(list, keys) => match list.evaluate(object)? {
                ProgramOutput::Ref(Value::Array(items)) => {
                    budget::charge(items.len().saturating_mul(1 + keys.len()))?;
                    ProgramOutput::List(items.iter().map(|item| select(item, keys)).collect::<Result<_, _>>()?)
                }
                // A loop over a map is over its keys, which are strings and have no fields.
                ProgramOutput::Ref(Value::Object(map)) if map.is_empty() => ProgramOutput::List(Vec::new()),
                _ => return Err(wrong_type()),
            },
        })
    }

    fn test(&self, object: &Value) -> Result<bool, EvalError> {
        match self.evaluate(object)? {
            ProgramOutput::Ref(Value::Bool(truth)) => Ok(*truth),
            ProgramOutput::Made(Value::Bool(truth)) => Ok(truth),
            _ => Err(wrong_type()),
        }
    }
}

fn truth<'a>(value: bool) -> ProgramOutput<'a> {
    ProgramOutput::Made(Value::Bool(value))
}

fn wrong_type() -> EvalError {
    EvalError::wrong_type("an operator or function met a value of a type it does not take")
}

/// `&&` (deciding: false) or `||` (deciding: true): a deciding operand absorbs an error of the other.
fn decided_by(deciding: bool, sides: &[Lowered; 2], object: &Value) -> Result<bool, EvalError> {
    match sides[0].test(object) {
        Ok(left) if left == deciding => Ok(deciding),
        Ok(_) => sides[1].test(object),
        Err(error) if error.class == ErrorClass::Limit => Err(error),
        Err(error) => {
            if sides[1].test(object)? == deciding {
                Ok(deciding)
            } else {
                Err(error)
            }
        }
    }
}

fn select<'a>(object: &'a Value, keys: &[LookupKey]) -> Result<&'a Value, EvalError> {
    keys.iter().try_fold(object, |value, key| match (key, value) {
        (LookupKey::Field(name), Value::Object(map)) => map.get(&**name).ok_or_else(|| missing(name)),
        (LookupKey::Index(_), Value::Object(_)) => {
            Err(EvalError::new(ErrorClass::MissingKey, "the keys of a JSON object are strings"))
        }
        (LookupKey::Index(index), Value::Array(items)) => usize::try_from(*index)
            .ok()
            .and_then(|index| items.get(index))
            .ok_or_else(|| EvalError::new(ErrorClass::OutOfRange, "an index is outside of its list")),
        (LookupKey::Field(name), _) => {
            Err(EvalError::wrong_type(format!("{name:?} is read from something that is no map")))
        }
        (LookupKey::Index(_), _) => Err(EvalError::wrong_type("an index is applied to something that is no list")),
    })
}

fn missing(name: &str) -> EvalError {
    EvalError::new(ErrorClass::MissingKey, format!("the key {name:?} is missing; test it with has()"))
}

fn equal_sides(sides: &[Lowered; 2], object: &Value) -> Result<bool, EvalError> {
    let (left, right) = (sides[0].evaluate(object)?, sides[1].evaluate(object)?);
    let same = match (&left, &right) {
        (ProgramOutput::List(a), ProgramOutput::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b, 0))
        }
        (ProgramOutput::List(a), other) | (other, ProgramOutput::List(a)) => match single(other) {
            Some(Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b, 0)),
            _ => false,
        },
        _ => single(&left).zip(single(&right)).is_some_and(|(a, b)| equal(a, b, 0)),
    };
    budget::check()?;
    Ok(same)
}

fn single<'o>(out: &'o ProgramOutput<'_>) -> Option<&'o Value> {
    match out {
        ProgramOutput::Ref(value) => Some(value),
        ProgramOutput::Made(value) => Some(value),
        ProgramOutput::List(_) => None,
    }
}

/// CEL equality: numbers by value, everything else by type and content.
fn equal(a: &Value, b: &Value, depth: usize) -> bool {
    let bytes = if let (Value::String(a), Value::String(b)) = (a, b) { a.len().min(b.len()) } else { 0 };
    // Without budget the evaluation fails anyway, whatever is returned.
    if budget::charge_bytes(bytes).is_err() {
        return false;
    }
    match (a, b) {
        _ if depth > MAX_COMPARED_DEPTH => false,
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => match (a.as_u64(), b.as_u64()) {
                (Some(a), Some(b)) => a == b,
                // A number that fits i64 and one that only fits u64 differ; else one of them is a double.
                _ if !a.is_f64() && !b.is_f64() => false,
                _ => a
                    .as_f64()
                    .zip(b.as_f64())
                    .is_some_and(|(a, b)| a.partial_cmp(&b) == Some(std::cmp::Ordering::Equal)),
            },
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b, depth + 1))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b, depth + 1)))
        }
        _ => a == b,
    }
}
