//! Comparisons of filters.

use super::Operator;
use crate::budget;
use crate::error::EvalError;
use serde_json::Value;
use std::cmp::Ordering;

/// `left operator right`. Values of different kinds cannot be compared.
pub(super) fn holds(operator: Operator, left: &Value, right: &Value) -> Result<bool, EvalError> {
    let ordering = match (left, right) {
        (Value::String(a), Value::String(b)) => {
            budget::charge_bytes(a.len().min(b.len()))?;
            a.cmp(b)
        }
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => match a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)) {
                Some(ordering) => ordering,
                None => return Ok(operator == Operator::NotEqual),
            },
        },
        (Value::Bool(a), Value::Bool(b)) if matches!(operator, Operator::Equal | Operator::NotEqual) => a.cmp(b),
        _ => return Err(EvalError::wrong_type("a filter compares values of different or incomparable types")),
    };
    Ok(match operator {
        Operator::Equal => ordering == Ordering::Equal,
        Operator::NotEqual => ordering != Ordering::Equal,
        Operator::Less => ordering == Ordering::Less,
        Operator::LessOrEqual => ordering != Ordering::Greater,
        Operator::Greater => ordering == Ordering::Greater,
        Operator::GreaterOrEqual => ordering != Ordering::Less,
    })
}
