//! Internal functions: the step counter, and bounded replacements of unbounded library functions.
//!
//! Their names are no CEL identifiers; `rewrite` inserts them. User-visible functions are declared by `regexes`, `lists`
//! and `kube`.

#![expect(clippy::needless_pass_by_value, reason = "the interpreter passes arguments by value")]

use super::args::{Args, CallResult, truth, wrong_types};
use super::error::limit;
use super::{kube, lists, regexes, rewrite, size, strings, view};
use crate::budget;
use cel::common::functions::Function;
use cel::common::types::{CelInt, CelList, DYN_TYPE, Kind};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use std::cmp::Ordering;

/// Longest list that `lists.range` makes.
const MAX_RANGE: i64 = 10_000;

/// Declares the functions.
pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    let functions: [(&str, usize, Function); 33] = [
        (rewrite::TICK, 1, tick),
        (rewrite::TICK_APPEND, 1, tick_append),
        (rewrite::CHARGE, 1, charge),
        (rewrite::CHARGE_COPY, 1, charge_copy),
        (rewrite::CHARGE_JOINED, 1, charge_joined),
        (rewrite::CHARGE_SORT, 1, charge_sort),
        (rewrite::CHARGE_WRITTEN, 1, charge_written),
        ("@add", 2, add),
        ("@equal", 2, equal),
        ("@not_equal", 2, not_equal),
        ("@less", 2, |args| ordered(&args, "_<_", Ordering::is_lt)),
        ("@less_equal", 2, |args| ordered(&args, "_<=_", Ordering::is_le)),
        ("@greater", 2, |args| ordered(&args, "_>_", Ordering::is_gt)),
        ("@greater_equal", 2, |args| ordered(&args, "_>=_", Ordering::is_ge)),
        ("@contained", 2, contained),
        ("@matches", 2, regexes::matches),
        ("@replace", 3, strings::replace),
        ("@replace", 4, strings::replace),
        ("@join", 1, strings::join),
        ("@join", 2, strings::join),
        ("@split", 2, strings::split),
        ("@split", 3, strings::split),
        ("@index_of", 2, |args| strings::index(args, false)),
        ("@index_of", 3, |args| strings::index(args, false)),
        ("@last_index_of", 2, |args| strings::index(args, true)),
        ("@last_index_of", 3, |args| strings::index(args, true)),
        ("@flatten", 1, lists::flatten),
        ("@flatten", 2, lists::flatten),
        ("@distinct", 1, lists::distinct),
        (rewrite::KEYS, 1, lists::keys),
        (rewrite::WALKED, 1, |args| lists::walked(charge(args)?)),
        (rewrite::ENTRIES, 1, lists::entries),
        (rewrite::MERGED, 1, lists::merged),
    ];
    for (name, arity, function) in functions {
        env.add_overload(name, &format!("{name}{arity}"), (0..arity).map(|_| DYN_TYPE).collect(), function)?;
    }
    env.add_overload("@range", "@range1", vec![DYN_TYPE], range)?;
    regexes::register(env)?;
    lists::register(env)?;
    kube::register(env)
}

fn spent(args: &Args<'_, '_>) -> usize {
    let steps = args.first().and_then(|steps| steps.downcast_ref::<CelInt>());
    steps.and_then(|steps| usize::try_from(*steps.inner()).ok()).unwrap_or(usize::MAX)
}

/// A step of a loop.
fn tick<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    budget::charge(spent(&args))?;
    Ok(truth(true))
}

/// A step of a loop that appends to a list.
fn tick_append<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    budget::build(size::NODE)?;
    tick(args)
}

fn only<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    args.into_iter().next().ok_or_else(ExecutionError::missing_argument_or_target)
}

/// Charges an operand that is read once.
fn charge<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let operand = only(args)?;
    budget::charge_bytes(size::copied(&*operand))?;
    Ok(operand)
}

/// Charges an operand that is copied into a built value.
fn charge_copy<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let operand = only(args)?;
    budget::build(size::copied(&*operand))?;
    Ok(operand)
}

/// Charges a text or list from which another one is built.
fn charge_joined<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let operand = only(args)?;
    budget::build(size::joined(&*operand))?;
    Ok(operand)
}

/// Charges a list that is sorted.
fn charge_sort<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let operand = only(args)?;
    budget::build(size::joined(&*operand))?;
    let rounds = (usize::BITS - size::elements(&*operand).leading_zeros()) as usize;
    budget::charge_bytes(size::compared(&*operand).saturating_mul(2 + rounds))?;
    Ok(operand)
}

/// Charges an operand that is formatted into a text.
fn charge_written<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let operand = only(args)?;
    budget::build(size::written(&*operand))?;
    Ok(operand)
}

fn add<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let [left, right] = args.as_slice() else { return Err(wrong_types("_+_", &args)) };
    if matches!(left.get_type().kind(), Kind::String | Kind::Bytes | Kind::List) {
        budget::build(size::joined(&**left).saturating_add(size::joined(&**right)))?;
    }
    let Some(adder) = left.as_adder() else { return Err(wrong_types("_+_", &args)) };
    match adder.add(&**right) {
        Ok(sum) => Ok(CowVal::Owned(sum.into_owned())),
        Err(ExecutionError::UnsupportedBinaryOperator(..)) => Err(wrong_types("_+_", &args)),
        Err(error) => Err(error),
    }
}

fn compared(args: &Args<'_, '_>) -> Result<bool, ExecutionError> {
    let [left, right] = args.as_slice() else { return Err(wrong_types("_==_", args)) };
    let same = view::equal(&**left, &**right);
    budget::charge(1)?;
    Ok(same)
}

fn equal<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    compared(&args).map(truth)
}

fn not_equal<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    compared(&args).map(|same| truth(!same))
}

fn ordered<'b, 'v>(args: &Args<'b, 'v>, operator: &str, holds: fn(Ordering) -> bool) -> CallResult<'b, 'v> {
    let [left, right] = args.as_slice() else { return Err(wrong_types(operator, args)) };
    lists::order(&**left, &**right, operator).map(holds).map(truth)
}

fn contained<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let [item, container] = args.as_slice() else { return Err(wrong_types("@in", &args)) };
    if container.get_type().kind() == Kind::List
        && let Some(items) = container.as_iterable()
    {
        let mut items = items.iter();
        while let Some(candidate) = items.next() {
            budget::charge(1)?;
            if view::equal(candidate, &**item) {
                return Ok(truth(true));
            }
        }
        return Ok(truth(false));
    }
    match container.as_container() {
        Some(container) => container.contains(&**item).map(truth).map_err(|_| wrong_types("@in", &args)),
        None => Err(wrong_types("@in", &args)),
    }
}

fn range<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let Some(end) = args.first().and_then(|end| end.downcast_ref::<CelInt>()) else {
        return Err(wrong_types("lists.range", &args));
    };
    let end = *end.inner();
    if end > MAX_RANGE {
        return Err(limit(&format!("lists.range makes at most {MAX_RANGE} elements")));
    }
    budget::build(usize::try_from(end).unwrap_or(0).saturating_mul(size::NODE))?;
    let all: Vec<Box<dyn Val>> = (0..end).map(|i| Box::new(CelInt::from(i)) as Box<dyn Val>).collect();
    Ok(CowVal::owned(CelList::from(all)))
}
