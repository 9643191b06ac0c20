//! Regular expressions: `matches`, `find` and `findAll`.
//!
//! Separate because patterns are bounded in length, size and nesting here, and compiled once for many objects.

#![expect(clippy::needless_pass_by_value, reason = "the interpreter hands arguments over by value")]

use super::budget;
use super::functions::{Answer, Args, text, truth, wrong_types};
use cel::common::types::{CelInt, CelList, CelString, DYN_TYPE, STRING_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use regex::{Regex, RegexBuilder};
use std::cell::RefCell;

/// Longest regular expression, in bytes.
const MAX_PATTERN: usize = 1024;
/// Compiled regular expressions kept per thread.
const KEPT: usize = 64;
/// Largest compiled regular expression, in bytes.
const MAX_SIZE: usize = 256 * 1024;

thread_local! {
    /// Patterns are nearly always written in the expression, so a few of them serve every object.
    static REGEXES: RefCell<Vec<(Box<str>, Regex)>> = const { RefCell::new(Vec::new()) };
}

/// Declares the functions that have names of their own.
pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_member_overload("find", "find2", STRING_TYPE, vec![DYN_TYPE], find)?;
    env.add_member_overload("findAll", "findAll2", STRING_TYPE, vec![DYN_TYPE], find_all)?;
    env.add_member_overload("findAll", "findAll3", STRING_TYPE, vec![DYN_TYPE, DYN_TYPE], find_all)
}

/// Runs `work` with the compiled pattern and the text of a call, and charges for both.
fn with_regex<T>(
    args: &Args<'_, '_>,
    function: &str,
    work: impl FnOnce(&Regex, &str) -> Result<T, ExecutionError>,
) -> Result<T, ExecutionError> {
    let (Some(subject), Some(pattern)) = (args.first().and_then(text), args.get(1).and_then(text)) else {
        return Err(wrong_types(function, args));
    };
    if pattern.len() > MAX_PATTERN {
        return Err(budget::limit("a regular expression is too long"));
    }
    budget::charge_bytes(subject.len().saturating_mul(4))?;
    REGEXES.with_borrow_mut(|kept| {
        if let Some(place) = kept.iter().position(|(text, _)| **text == *pattern) {
            return work(&kept[place].1, subject);
        }
        budget::charge(2000)?;
        let regex = RegexBuilder::new(pattern)
            .size_limit(MAX_SIZE)
            .dfa_size_limit(MAX_SIZE)
            .nest_limit(50)
            .build()
            .map_err(|_| ExecutionError::function_error(function, "not a regular expression, or too large"))?;
        let result = work(&regex, subject);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((pattern.into(), regex));
        result
    })
}

pub(super) fn matches<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    with_regex(&args, "matches", |regex, subject| Ok(truth(regex.is_match(subject))))
}

/// The first match, or an empty text.
fn find<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    with_regex(&args, "find", |regex, subject| {
        let found = regex.find(subject).map_or("", |found| found.as_str());
        Ok(CowVal::owned(CelString::from(found.to_owned())))
    })
}

/// All matches, or as many as the third argument says when it is not negative.
fn find_all<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let most = match args.get(2).map(|most| most.downcast_ref::<CelInt>()) {
        None => usize::MAX,
        Some(Some(most)) => usize::try_from(*most.inner()).unwrap_or(usize::MAX),
        Some(None) => return Err(wrong_types("findAll", &args)),
    };
    with_regex(&args, "findAll", |regex, subject| {
        let mut all: Vec<Box<dyn Val + 'v>> = Vec::new();
        for found in regex.find_iter(subject).take(most) {
            budget::charge(1)?;
            all.push(Box::new(CelString::from(found.as_str().to_owned())));
        }
        Ok(CowVal::owned(CelList::from(all)))
    })
}
