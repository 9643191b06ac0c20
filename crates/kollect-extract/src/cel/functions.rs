//! Our own functions: the step counter, and bounded forms of what the library leaves unbounded.
//!
//! These have names that cannot be written in CEL; `rewrite` puts them into expressions. What can be written is
//! declared by `regexes`, `lists` and `kube`.

#![expect(clippy::needless_pass_by_value, reason = "the interpreter hands arguments over by value")]

use super::{budget, kube, lists, regexes, rewrite, size, view};
use cel::common::functions::Function;
use cel::common::types::{CelBool, CelInt, CelList, CelString, DYN_TYPE, Kind};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

pub(super) type Args<'b, 'v> = Vec<CowVal<'b, 'v>>;
pub(super) type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// Longest list that `lists.range` makes.
const MAX_RANGE: i64 = 10_000;
/// Declares the functions.
pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    let functions: [(&str, usize, Function); 17] = [
        (rewrite::TICK, 0, tick),
        (rewrite::CHARGE, 1, charge),
        (rewrite::CHARGE_SQUARE, 1, charge_square),
        (rewrite::CHARGE_DEEP, 1, charge_deep),
        ("@add", 2, add),
        ("@equal", 2, equal),
        ("@not_equal", 2, not_equal),
        ("@contained", 2, contained),
        ("@matches", 2, regexes::matches),
        ("@replace", 3, replace),
        ("@replace", 4, replace),
        ("@join", 1, join),
        ("@join", 2, join),
        (rewrite::KEYS, 1, lists::keys),
        (rewrite::WALKED, 1, |args| lists::walked(charge_deep(args)?)),
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

pub(super) fn truth<'b, 'v>(value: bool) -> CowVal<'b, 'v> {
    CowVal::owned(CelBool::from(value))
}

pub(super) fn wrong_types(function: &str, args: &Args<'_, '_>) -> ExecutionError {
    ExecutionError::no_such_overload(function, args.iter().map(|arg| arg.get_type().name().to_owned()).collect())
}

pub(super) fn text<'x>(value: &'x CowVal<'_, '_>) -> Option<&'x str> {
    value.downcast_ref::<CelString>().map(CelString::inner)
}

fn tick<'b, 'v>(_: Args<'b, 'v>) -> Answer<'b, 'v> {
    budget::charge(1)?;
    Ok(truth(true))
}

fn only<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    args.into_iter().next().ok_or_else(ExecutionError::missing_argument_or_target)
}

fn charge<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let operand = only(args)?;
    budget::charge_bytes(size::length(&*operand))?;
    Ok(operand)
}

fn charge_square<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let operand = only(args)?;
    let elements = size::length(&*operand) / 16;
    budget::charge(1 + elements.saturating_mul(elements) / 8)?;
    Ok(operand)
}

fn charge_deep<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let operand = only(args)?;
    budget::charge(1 + size::copied(&*operand, 0)? / 8)?;
    Ok(operand)
}

fn add<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let [left, right] = args.as_slice() else { return Err(wrong_types("_+_", &args)) };
    if matches!(left.get_type().kind(), Kind::String | Kind::Bytes | Kind::List) {
        budget::check_built(size::length(&**left).saturating_add(size::length(&**right)))?;
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
    budget::charge_bytes(size::length(&**left).min(size::length(&**right)))?;
    Ok(same)
}

fn equal<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    compared(&args).map(truth)
}

fn not_equal<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    compared(&args).map(|same| truth(!same))
}

fn contained<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
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

fn replace<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let (Some(subject), Some(from), Some(to)) =
        (args.first().and_then(text), args.get(1).and_then(text), args.get(2).and_then(text))
    else {
        return Err(wrong_types("replace", &args));
    };
    let most = match args.get(3) {
        None => usize::MAX,
        Some(most) => match most.downcast_ref::<CelInt>() {
            Some(most) => usize::try_from(*most.inner()).unwrap_or(usize::MAX),
            None => return Err(wrong_types("replace", &args)),
        },
    };
    budget::charge_bytes(subject.len())?;
    let found = subject.matches(from).take(most).count();
    budget::check_built(subject.len().saturating_add(found.saturating_mul(to.len())))?;
    Ok(CowVal::owned(CelString::from(subject.replacen(from, to, most))))
}

fn join<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let separator = match args.get(1) {
        None => "",
        Some(separator) => text(separator).ok_or_else(|| wrong_types("join", &args))?,
    };
    let Some(items) = args.first().and_then(|list| list.as_iterable()) else { return Err(wrong_types("join", &args)) };
    let mut items = items.iter();
    let mut joined = String::new();
    let mut first = true;
    while let Some(item) = items.next() {
        let Some(item) = item.downcast_ref::<CelString>() else { return Err(wrong_types("join", &args)) };
        if !first {
            joined.push_str(separator);
        }
        first = false;
        joined.push_str(item.inner());
        if joined.len() > budget::MAX_BUILT {
            break;
        }
    }
    budget::check_built(joined.len())?;
    Ok(CowVal::owned(CelString::from(joined)))
}

fn range<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let Some(end) = args.first().and_then(|end| end.downcast_ref::<CelInt>()) else {
        return Err(wrong_types("lists.range", &args));
    };
    let end = *end.inner();
    if end > MAX_RANGE {
        return Err(ExecutionError::function_error(
            budget::LIMIT,
            format!("lists.range makes at most {MAX_RANGE} elements"),
        ));
    }
    budget::charge(1 + usize::try_from(end).unwrap_or(0) / 8)?;
    let all: Vec<Box<dyn Val>> = (0..end).map(|i| Box::new(CelInt::from(i)) as Box<dyn Val>).collect();
    Ok(CowVal::owned(CelList::from(all)))
}
