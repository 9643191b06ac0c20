//! Converts CEL results to plain JSON, so that scrubbing covers every key. Bounded in size and depth.

use super::env;
use super::kube::Kube;
use crate::budget;
use crate::error::{ErrorClass, EvalError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cel::common::types::{CelBool, CelBytes, CelDouble, CelInt, CelOptional, CelString, CelType, CelUInt, Kind};
use cel::common::value::{CowVal, Val};
use serde_json::{Map, Number, Value};

/// Largest result: approximate bytes of its JSON text.
const MAX_RESULT: usize = 256 * 1024;
const MAX_DEPTH: usize = 140;

pub(super) fn to_json(value: &dyn Val) -> Result<Value, EvalError> {
    Converter { left: MAX_RESULT }.convert(value, 0)
}

struct Converter {
    left: usize,
}

impl Converter {
    fn spend(&mut self, bytes: usize) -> Result<(), EvalError> {
        let left = self.left.checked_sub(bytes.saturating_add(2));
        self.left =
            left.ok_or_else(|| EvalError::limit(format!("the result is larger than {MAX_RESULT} bytes; build less")))?;
        Ok(())
    }

    fn convert(&mut self, value: &dyn Val, depth: usize) -> Result<Value, EvalError> {
        if depth > MAX_DEPTH {
            return Err(EvalError::limit(format!("the result is more than {MAX_DEPTH} levels deep")));
        }
        self.spend(0)?;
        budget::charge(1)?;
        Ok(match value.get_type().kind() {
            Kind::NullType => Value::Null,
            Kind::List => self.list(value, depth)?,
            Kind::Map => self.map(value, depth)?,
            Kind::Timestamp | Kind::Duration => Value::String(written(value)?),
            _ => {
                if let Some(optional) = value.downcast_ref::<CelOptional>() {
                    return optional.option().map_or(Ok(Value::Null), |inner| self.convert(inner, depth + 1));
                }
                self.scalar(value)?
            }
        })
    }

    fn scalar(&mut self, value: &dyn Val) -> Result<Value, EvalError> {
        Ok(if let Some(text) = value.downcast_ref::<CelString>() {
            self.spend(text.inner().len())?;
            Value::String(text.inner().to_owned())
        } else if let Some(number) = value.downcast_ref::<CelInt>() {
            Value::from(*number.inner())
        } else if let Some(truth) = value.downcast_ref::<CelBool>() {
            Value::Bool(*truth.inner())
        } else if let Some(number) = value.downcast_ref::<CelUInt>() {
            Value::from(*number.inner())
        } else if let Some(number) = value.downcast_ref::<CelDouble>() {
            let number = Number::from_f64(*number.inner());
            Value::Number(number.ok_or_else(|| not_json("a number is infinite or not a number"))?)
        } else if let Some(bytes) = value.downcast_ref::<CelBytes>() {
            self.spend(bytes.inner().len())?;
            Value::String(STANDARD.encode(bytes.inner()))
        } else if let Some(name) = value.downcast_ref::<CelType>() {
            Value::String(name.name().to_owned())
        } else if let Some(known) = value.downcast_ref::<Kube>() {
            let text = known.to_string();
            self.spend(text.len())?;
            Value::String(text)
        } else {
            return Err(not_json("the result has no JSON form"));
        })
    }

    fn list(&mut self, value: &dyn Val, depth: usize) -> Result<Value, EvalError> {
        let items = value.as_iterable().ok_or_else(|| not_json("the list cannot be read"))?;
        let mut items = items.iter();
        let mut out = Vec::new();
        while let Some(item) = items.next() {
            out.push(self.convert(item, depth + 1)?);
        }
        Ok(Value::Array(out))
    }

    fn map(&mut self, value: &dyn Val, depth: usize) -> Result<Value, EvalError> {
        let (Some(keys), Some(values)) = (value.as_iterable(), value.as_indexer()) else {
            return Err(not_json("the map cannot be read"));
        };
        let mut keys = keys.iter();
        let mut out = Map::new();
        while let Some(key) = keys.next() {
            let name = match self.scalar(key)? {
                Value::String(name) => name,
                other => other.to_string(),
            };
            let item = values.get(key).map_err(|_| not_json("the map cannot be read"))?;
            out.insert(name, self.convert(&*item, depth + 1)?);
        }
        Ok(Value::Object(out))
    }
}

fn not_json(message: &'static str) -> EvalError {
    EvalError::new(ErrorClass::NotJson, message)
}

/// Timestamps and durations as formatted by CEL's `string()`: RFC 3339 in UTC, and seconds with an `s`.
fn written(value: &dyn Val) -> Result<String, EvalError> {
    let args = [CowVal::Borrowed(value)];
    let string = env::root().and_then(|root| match root {
        cel::Context::Root { env, .. } => env.find_overload("string", &args),
        cel::Context::Child { .. } => None,
    });
    string
        .and_then(|string| string(args.into()).ok())
        .and_then(|text| text.downcast_ref::<CelString>().map(|text| text.inner().to_owned()))
        .ok_or_else(|| not_json("a time cannot be written"))
}
