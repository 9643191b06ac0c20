//! Formats numbers like cel-go.

use super::args::{Args, CallResult, wrong_types};
use super::size;
use crate::budget;
use cel::Context;
use cel::common::types::{CelDouble, CelString};
use cel::common::value::CowVal;

/// `string(x)`: doubles as Go's `%g`, everything else by the overload of `string` in `root`.
pub(super) fn string<'b, 'v>(args: Args<'b, 'v>, root: Option<&Context<'_, '_>>) -> CallResult<'b, 'v> {
    if let Some(double) = args.first().and_then(|value| value.downcast_ref::<CelDouble>()) {
        return Ok(CowVal::owned(CelString::from(go_g(*double.inner()))));
    }
    if let Some(value) = args.first() {
        budget::build(size::text_bytes(&**value) + size::NODE)?;
    }
    let overload = match root {
        Some(Context::Root { env, .. }) => env.find_overload("string", &args),
        _ => None,
    };
    match overload {
        Some(string) => string(args),
        None => Err(wrong_types("string", &args)),
    }
}

/// Numbers from this power of ten have an exponent.
const LARGE: i32 = 6;

/// The shortest digits that parse to the same number; with an exponent below 10⁻⁴ and from 10⁶.
fn go_g(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..LARGE).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}
