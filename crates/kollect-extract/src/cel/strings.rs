//! Text functions whose results or searches the library does not bound.

#![expect(clippy::needless_pass_by_value, reason = "the interpreter passes arguments by value")]

use super::args::{Args, CallResult, text, wrong_types};
use super::{lists, size};
use crate::budget;
use cel::ExecutionError;
use cel::common::types::{CelInt, CelList, CelString, Kind};
use cel::common::value::{CowVal, Val};

fn number(args: &Args<'_, '_>, place: usize, function: &str) -> Result<Option<i64>, ExecutionError> {
    match args.get(place) {
        None => Ok(None),
        Some(number) => match number.downcast_ref::<CelInt>() {
            Some(number) => Ok(Some(*number.inner())),
            None => Err(wrong_types(function, args)),
        },
    }
}

/// Spends the cost of a search of `subject` for `needle`.
fn charge_search(subject: &str, needle: &str) -> Result<(), budget::Exceeded> {
    budget::charge_bytes(subject.len())?;
    budget::charge_bytes(needle.len())
}

pub(super) fn replace<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let (Some(subject), Some(from), Some(to)) =
        (args.first().and_then(text), args.get(1).and_then(text), args.get(2).and_then(text))
    else {
        return Err(wrong_types("replace", &args));
    };
    let most = number(&args, 3, "replace")?.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    charge_search(subject, from)?;
    let found = subject.matches(from).take(most).count();
    budget::charge(found)?;
    budget::build(subject.len().saturating_add(found.saturating_mul(to.len())))?;
    Ok(CowVal::owned(CelString::from(subject.replacen(from, to, most))))
}

pub(super) fn join<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
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
        budget::build(separator.len() + item.inner().len())?;
        if !std::mem::take(&mut first) {
            joined.push_str(separator);
        }
        joined.push_str(item.inner());
    }
    Ok(CowVal::owned(CelString::from(joined)))
}

/// `split` as in the library: an optional maximum number of parts; an empty separator splits into characters.
pub(super) fn split<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let (Some(subject), Some(separator)) = (args.first().and_then(text), args.get(1).and_then(text)) else {
        return Err(wrong_types("split", &args));
    };
    let most = number(&args, 2, "split")?.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    charge_search(subject, separator)?;
    let mut parts: Vec<Box<dyn Val + 'v>> = Vec::new();
    let mut add = |part: &str| -> Result<(), ExecutionError> {
        budget::build(size::NODE + part.len())?;
        parts.push(Box::new(CelString::from(part.to_owned())));
        Ok(())
    };
    if separator.is_empty() {
        let mut rest = subject;
        let mut made = 1;
        while let Some(c) = rest.chars().next().filter(|_| made < most) {
            let (head, tail) = rest.split_at(c.len_utf8());
            add(head)?;
            rest = tail;
            made += 1;
        }
        if !rest.is_empty() && most > 0 {
            add(rest)?;
        }
    } else {
        subject.splitn(most, separator).try_for_each(add)?;
    }
    Ok(CowVal::owned(CelList::from(parts)))
}

/// `indexOf` and `lastIndexOf`: of texts, in characters, and of lists.
pub(super) fn index<'b, 'v>(args: Args<'b, 'v>, last: bool) -> CallResult<'b, 'v> {
    let function = if last { "lastIndexOf" } else { "indexOf" };
    if args.len() == 2 && args[0].get_type().kind() == Kind::List {
        return lists::index(args, last);
    }
    let (Some(subject), Some(needle)) = (args.first().and_then(text), args.get(1).and_then(text)) else {
        return Err(wrong_types(function, &args));
    };
    charge_search(subject, needle)?;
    let length = subject.chars().count();
    let offset = match number(&args, 2, function)? {
        None => None,
        Some(offset) => {
            let place = usize::try_from(offset).ok().filter(|place| needle.is_empty() || *place < length);
            let outside = || ExecutionError::function_error(function, "the index is outside of the text");
            Some(place.ok_or_else(outside)?.min(length))
        }
    };
    let byte = |character: usize| subject.char_indices().nth(character).map_or(subject.len(), |(at, _)| at);
    let found = if last {
        // A match may start at the offset and end after it.
        let end = offset.map_or(subject.len(), |offset| byte(offset).saturating_add(needle.len()).min(subject.len()));
        let end = (end..=subject.len()).find(|end| subject.is_char_boundary(*end)).unwrap_or(subject.len());
        subject[..end].rfind(needle)
    } else {
        let start = offset.map_or(0, byte);
        subject[start..].find(needle).map(|at| start + at)
    };
    let found = found.map_or(-1, |at| i64::try_from(subject[..at].chars().count()).unwrap_or(i64::MAX));
    Ok(CowVal::owned(CelInt::from(found)))
}
