//! Kubernetes' list functions, and sets. At most O(n·m); each iteration spends from the budget.

#![expect(clippy::needless_pass_by_value, reason = "the interpreter passes arguments by value")]

use super::args::{Args, CallResult, truth, wrong_types};
use super::{size, view};
use crate::budget;
use cel::common::types::{CelBool, CelInt, CelList, CelMap, CelMapKey, CelString, CelUInt, Kind, LIST_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use std::cmp::Ordering;
use std::collections::HashMap;

/// Deeper lists are not flattened; JSON of objects is at most 128 deep.
const MAX_FLATTENED: usize = 128;

/// Declares the functions.
pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_member_overload("isSorted", "isSorted1", LIST_TYPE, vec![], is_sorted)?;
    env.add_member_overload("sum", "sum1", LIST_TYPE, vec![], sum)?;
    env.add_member_overload("min", "min1", LIST_TYPE, vec![], |args| extreme(args, "min", Ordering::Less))?;
    env.add_member_overload("max", "max1", LIST_TYPE, vec![], |args| extreme(args, "max", Ordering::Greater))?;
    let pair = || vec![LIST_TYPE, LIST_TYPE];
    env.add_overload("sets.contains", "sets.contains", pair(), |args| {
        let [all, part] = args.as_slice() else { return Err(wrong_types("sets.contains", &args)) };
        holds_all(&**all, &**part).map(truth)
    })?;
    env.add_overload("sets.equivalent", "sets.equivalent", pair(), |args| {
        let [a, b] = args.as_slice() else { return Err(wrong_types("sets.equivalent", &args)) };
        Ok(truth(holds_all(&**a, &**b)? && holds_all(&**b, &**a)?))
    })?;
    env.add_overload("sets.intersects", "sets.intersects", pair(), |args| {
        let [a, b] = args.as_slice() else { return Err(wrong_types("sets.intersects", &args)) };
        any(&**b, |item| holds(&**a, item)).map(truth)
    })
}

/// Whether `test` is true for an element.
fn any(list: &dyn Val, mut test: impl FnMut(&dyn Val) -> Result<bool, ExecutionError>) -> Result<bool, ExecutionError> {
    let Some(items) = list.as_iterable() else { return Ok(false) };
    let mut items = items.iter();
    while let Some(item) = items.next() {
        budget::charge(1)?;
        if test(item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn holds(list: &dyn Val, wanted: &dyn Val) -> Result<bool, ExecutionError> {
    any(list, |item| Ok(view::equal(item, wanted)))
}

fn holds_all(list: &dyn Val, part: &dyn Val) -> Result<bool, ExecutionError> {
    any(part, |item| holds(list, item).map(|found| !found)).map(|missing| !missing)
}

pub(super) fn order(a: &dyn Val, b: &dyn Val, function: &str) -> Result<Ordering, ExecutionError> {
    let wrong = || {
        let types = vec![a.get_type().name().to_owned(), b.get_type().name().to_owned()];
        ExecutionError::no_such_overload(function, types)
    };
    budget::charge_bytes(size::text_bytes(a).min(size::text_bytes(b)))?;
    a.as_comparer().ok_or_else(wrong)?.compare(b).map_err(|_| wrong())
}

fn is_sorted<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let items = args.first().and_then(|list| list.as_iterable()).ok_or_else(|| wrong_types("isSorted", &args))?;
    let mut items = items.iter();
    let Some(mut last) = items.next() else { return Ok(truth(true)) };
    while let Some(item) = items.next() {
        if order(last, item, "isSorted")?.is_gt() {
            return Ok(truth(false));
        }
        last = item;
    }
    Ok(truth(true))
}

fn sum<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let items = args.first().and_then(|list| list.as_iterable()).ok_or_else(|| wrong_types("sum", &args))?;
    let mut items = items.iter();
    let Some(first) = items.next() else { return Ok(CowVal::owned(CelInt::from(0))) };
    let mut total: Box<dyn Val + 'v> = Box::new(CelInt::from(0));
    let mut next = Some(first);
    let mut started = false;
    while let Some(item) = next {
        budget::charge(1)?;
        if !matches!(item.get_type().kind(), Kind::Int | Kind::UInt | Kind::Double | Kind::Duration) {
            return Err(wrong_types("sum", &args));
        }
        total = if started {
            let adder = total.as_adder().ok_or_else(|| wrong_types("sum", &args))?;
            adder.add(item)?.into_owned()
        } else {
            item.clone_as_boxed()
        };
        started = true;
        next = items.next();
    }
    Ok(CowVal::Owned(total))
}

fn extreme<'b, 'v>(args: Args<'b, 'v>, name: &'static str, wanted: Ordering) -> CallResult<'b, 'v> {
    let items = args.first().and_then(|list| list.as_iterable()).ok_or_else(|| wrong_types(name, &args))?;
    let mut items = items.iter();
    let Some(mut best) = items.next() else {
        return Err(ExecutionError::function_error(name, "the list is empty"));
    };
    while let Some(item) = items.next() {
        if order(item, best, name)? == wanted {
            best = item;
        }
    }
    Ok(CowVal::Owned(best.clone_as_boxed()))
}

/// Index of a value in a list; -1 when it is absent.
pub(super) fn index<'b, 'v>(args: Args<'b, 'v>, last: bool) -> CallResult<'b, 'v> {
    let [all, wanted] = args.as_slice() else { return Err(wrong_types("indexOf", &args)) };
    let (mut found, mut at) = (-1, 0);
    any(&**all, |item| {
        if view::equal(item, &**wanted) {
            found = at;
        }
        at += 1;
        Ok(found >= 0 && !last)
    })?;
    Ok(CowVal::owned(CelInt::from(found)))
}

/// Replaces lists in a list by their elements, to the depth of the second argument.
pub(super) fn flatten<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let depth = match args.get(1).map(|depth| depth.downcast_ref::<CelInt>()) {
        None => 1,
        Some(Some(depth)) => usize::try_from(*depth.inner())
            .map_err(|_| ExecutionError::function_error("flatten", "the depth is negative"))?,
        Some(None) => return Err(wrong_types("flatten", &args)),
    };
    let list = args.first().filter(|list| list.get_type().kind() == Kind::List);
    let mut flat = Vec::new();
    flatten_into(&**list.ok_or_else(|| wrong_types("flatten", &args))?, depth.min(MAX_FLATTENED) + 1, &mut flat)?;
    Ok(CowVal::owned(CelList::from(flat)))
}

fn flatten_into<'v>(
    value: &(dyn Val + 'v),
    depth: usize,
    flat: &mut Vec<Box<dyn Val + 'v>>,
) -> Result<(), ExecutionError> {
    if let Some(items) = value.as_iterable().filter(|_| depth > 0 && value.get_type().kind() == Kind::List) {
        budget::charge(1)?;
        let mut items = items.iter();
        while let Some(item) = items.next() {
            flatten_into(item, depth - 1, flat)?;
        }
    } else {
        budget::build(size::copied(value))?;
        flat.push(value.clone_as_boxed());
    }
    Ok(())
}

/// The first of each group of equal elements, in order.
pub(super) fn distinct<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let list = args.first().filter(|list| list.get_type().kind() == Kind::List);
    let items = list.and_then(|list| list.as_iterable()).ok_or_else(|| wrong_types("distinct", &args))?;
    let mut items = items.iter();
    let mut unique: Vec<&(dyn Val + 'v)> = Vec::new();
    while let Some(item) = items.next() {
        budget::charge(1)?;
        if !unique.iter().any(|seen| view::equal(item, *seen)) {
            budget::build(size::copied(item))?;
            unique.push(item);
        }
    }
    Ok(CowVal::owned(CelList::from(unique.into_iter().map(Val::clone_as_boxed).collect::<Vec<_>>())))
}

/// A list unchanged, or the sorted keys of a map.
pub(super) fn walked<'b, 'v>(value: CowVal<'b, 'v>) -> CallResult<'b, 'v> {
    // Maps of the object are in order.
    if value.downcast_ref::<CelMap>().is_some() { keys(vec![value]) } else { Ok(value) }
}

/// The sorted keys of a map, or the indexes of a list.
pub(super) fn keys<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let [value] = args.as_slice() else { return Err(wrong_types("all", &args)) };
    let Some(items) = value.as_iterable() else { return Err(wrong_types("all", &args)) };
    let is_map = value.get_type().kind() == Kind::Map;
    let mut all: Vec<Box<dyn Val + 'v>> = Vec::new();
    let mut items = items.iter();
    let mut at = 0;
    while let Some(item) = items.next() {
        budget::build(size::NODE + size::text_bytes(item))?;
        all.push(if is_map { item.clone_as_boxed() } else { Box::new(CelInt::from(at)) });
        at += 1;
    }
    if is_map {
        all.sort_by(|a, b| key_order(&**a, &**b));
    }
    Ok(CowVal::owned(CelList::from(all)))
}

/// Booleans before numbers before texts, each by value. Keys have no other types.
fn key_order(a: &dyn Val, b: &dyn Val) -> Ordering {
    fn parts(key: &dyn Val) -> (u8, i128, &str) {
        if let Some(text) = key.downcast_ref::<CelString>() {
            (2, 0, text.inner())
        } else if let Some(number) = key.downcast_ref::<CelInt>() {
            (1, (*number.inner()).into(), "")
        } else if let Some(number) = key.downcast_ref::<CelUInt>() {
            (1, (*number.inner()).into(), "")
        } else {
            (0, key.downcast_ref::<CelBool>().is_some_and(|truth| *truth.inner()).into(), "")
        }
    }
    parts(a).cmp(&parts(b))
}

type Entries<'v> = HashMap<CelMapKey<'v>, Box<dyn Val + 'v>>;

/// Inserts an entry; equal keys are an error.
fn enter<'v>(
    all: &mut Entries<'v>,
    key: &dyn Val,
    value: Box<dyn Val + 'v>,
    function: &str,
) -> Result<(), ExecutionError> {
    budget::charge(1)?;
    let unfit = || ExecutionError::function_error(function, "a key is no text, number or truth value");
    let key = if let Some(text) = key.downcast_ref::<CelString>() {
        CelMapKey::from(text.inner().to_owned())
    } else if let Some(number) = key.downcast_ref::<CelInt>() {
        CelMapKey::from(*number.inner())
    } else if let Some(number) = key.downcast_ref::<CelUInt>() {
        CelMapKey::from(*number.inner())
    } else {
        CelMapKey::from(*key.downcast_ref::<CelBool>().ok_or_else(unfit)?.inner())
    };
    match all.insert(key, value) {
        None => Ok(()),
        Some(_) => Err(ExecutionError::function_error(function, "two entries have the same key")),
    }
}

/// Builds a map from a list of pairs.
pub(super) fn entries<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let wrong = || wrong_types("transformMap", &args);
    let pairs = args.first().ok_or_else(wrong)?;
    budget::build(size::copied(&**pairs))?;
    let pairs = pairs.as_iterable().ok_or_else(wrong)?;
    let mut pairs = pairs.iter();
    let mut all = Entries::new();
    while let Some(pair) = pairs.next() {
        let pair = pair.as_iterable().ok_or_else(wrong)?;
        let mut pair = pair.iter();
        let key = pair.next().map(Val::clone_as_boxed).ok_or_else(wrong)?;
        let value = pair.next().map(Val::clone_as_boxed).ok_or_else(wrong)?;
        enter(&mut all, &*key, value, "transformMap")?;
    }
    Ok(CowVal::owned(CelMap::from(all)))
}

/// Merges a list of maps.
pub(super) fn merged<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let wrong = || wrong_types("transformMapEntry", &args);
    let maps = args.first().and_then(|maps| maps.as_iterable()).ok_or_else(wrong)?;
    let mut maps = maps.iter();
    let mut all = Entries::new();
    while let Some(map) = maps.next() {
        if map.get_type().kind() != Kind::Map {
            return Err(wrong());
        }
        let (keys, values) = map.as_iterable().zip(map.as_indexer()).ok_or_else(wrong)?;
        let mut keys = keys.iter();
        while let Some(key) = keys.next() {
            let value = values.get(key)?;
            budget::build(size::NODE + size::text_bytes(key) + size::copied(&*value))?;
            enter(&mut all, key, value.clone_as_boxed(), "transformMapEntry")?;
        }
    }
    Ok(CowVal::owned(CelMap::from(all)))
}
