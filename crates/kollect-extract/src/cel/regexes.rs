//! Regular expressions: `matches`, `find` and `findAll`.
//!
//! In the worst case the engine visits every state of a program for every byte, so a search spends bytes × size of the
//! program, and `findAll` does so per match. Programs are compiled once for many objects.

#![expect(clippy::needless_pass_by_value, reason = "the interpreter passes arguments by value")]

use super::args::{Args, CallResult, text, truth, wrong_types};
use super::error::limit;
use super::size;
use crate::budget;
use cel::common::types::{CelInt, CelList, CelString, DYN_TYPE, STRING_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use regex::{Regex, RegexBuilder};
use std::cell::RefCell;
use std::rc::Rc;

/// Longest regular expression, in bytes.
const MAX_PATTERN: usize = 1024;
/// Compiled regular expressions kept per thread.
const KEPT: usize = 32;
/// Sizes of compiled programs, in bytes. A pattern is charged as the smallest that it fits in.
const SIZES: [usize; 6] = [512, 1024, 2048, 4096, 8192, 16_384];
/// Largest lazy automaton of a search, in bytes.
const MAX_AUTOMATON: usize = 64 * 1024;
/// Bytes of subject × bytes of program that cost as much as one step.
const WORK_PER_STEP: usize = 2048;
/// Steps for a compilation.
const COMPILE: usize = 5000;

/// A compiled pattern.
struct Program {
    pattern: Box<str>,
    regex: Regex,
    size: usize,
}

thread_local! {
    /// Patterns are mostly literals of the expression, so a small cache serves every object.
    static PROGRAMS: RefCell<Vec<Rc<Program>>> = const { RefCell::new(Vec::new()) };
}

/// Declares the functions with user-visible names.
pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_member_overload("find", "find2", STRING_TYPE, vec![DYN_TYPE], find)?;
    env.add_member_overload("findAll", "findAll2", STRING_TYPE, vec![DYN_TYPE], find_all)?;
    env.add_member_overload("findAll", "findAll3", STRING_TYPE, vec![DYN_TYPE, DYN_TYPE], find_all)
}

impl Program {
    /// The program and the text of a call.
    fn of<'x>(args: &'x Args<'_, '_>, function: &str) -> Result<(Rc<Self>, &'x str), ExecutionError> {
        let (Some(subject), Some(pattern)) = (args.first().and_then(text), args.get(1).and_then(text)) else {
            return Err(wrong_types(function, args));
        };
        if pattern.len() > MAX_PATTERN {
            return Err(limit(&format!("a regular expression is longer than {MAX_PATTERN} bytes")));
        }
        budget::charge_bytes(pattern.len())?;
        PROGRAMS.with_borrow_mut(|kept| {
            if let Some(known) = kept.iter().find(|known| *known.pattern == *pattern) {
                return Ok((known.clone(), subject));
            }
            let program = Rc::new(Self::compile(pattern, function)?);
            if kept.len() == KEPT {
                kept.remove(0);
            }
            kept.push(program.clone());
            Ok((program, subject))
        })
    }

    fn compile(pattern: &str, function: &str) -> Result<Self, ExecutionError> {
        let translated = as_re2(pattern);
        for size in SIZES {
            budget::charge(COMPILE)?;
            let mut builder = RegexBuilder::new(&translated);
            match builder.size_limit(size).dfa_size_limit(MAX_AUTOMATON).nest_limit(50).build() {
                Ok(regex) => return Ok(Self { pattern: pattern.into(), regex, size }),
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(_) => return Err(ExecutionError::function_error(function, "not a regular expression")),
            }
        }
        let largest = SIZES[SIZES.len() - 1];
        Err(limit(&format!("a regular expression is larger than {largest} bytes when compiled; repeat less in it")))
    }

    /// Spends the maximum cost of one search.
    fn charge(&self, bytes: usize) -> Result<(), budget::Exceeded> {
        budget::charge(1 + bytes.saturating_mul(self.size) / WORK_PER_STEP)
    }
}

/// The pattern with `\d`, `\s`, `\w` and `\b` limited to ASCII, as in RE2.
fn as_re2(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Q') => {
                    let (quoted, rest) = chars.as_str().split_once("\\E").unwrap_or((chars.as_str(), ""));
                    out.push_str(&regex::escape(quoted));
                    chars = rest.chars();
                }
                Some(class @ ('d' | 'D' | 's' | 'S' | 'w' | 'W')) => out.push_str(ascii_class(class, in_class)),
                Some(edge @ ('b' | 'B')) if !in_class => out.extend(["(?-u:\\", edge.encode_utf8(&mut [0; 4]), ")"]),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' if in_class => {
                // In RE2 a bracket in a class is a literal, unless it starts a named class.
                if chars.as_str().starts_with(':') {
                    let (name, rest) = chars.as_str().split_once(":]").unwrap_or((chars.as_str(), ""));
                    out.extend(["[", name, ":]"]);
                    chars = rest.chars();
                } else {
                    out.push_str("\\[");
                }
            }
            '[' => {
                in_class = true;
                out.push('[');
                let rest = chars.as_str();
                let negated = rest.starts_with('^');
                if negated {
                    out.push('^');
                }
                if rest[usize::from(negated)..].starts_with(']') {
                    out.push_str("\\]");
                    chars = rest[usize::from(negated) + 1..].chars();
                } else if negated {
                    chars = rest[1..].chars();
                }
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            // RE2 does not have set operators.
            '&' | '~' if in_class => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

fn ascii_class(class: char, in_class: bool) -> &'static str {
    match (class, in_class) {
        ('d', _) => "[0-9]",
        ('s', _) => r"[\t\n\f\r ]",
        ('w', _) => "[0-9A-Za-z_]",
        ('D', _) => "[^0-9]",
        ('S', _) => r"[^\t\n\f\r ]",
        _ => "[^0-9A-Za-z_]",
    }
}

pub(super) fn matches<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let (program, subject) = Program::of(&args, "matches")?;
    program.charge(subject.len())?;
    Ok(truth(program.regex.is_match(subject)))
}

/// The first match, or an empty text when there is none.
fn find<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let (program, subject) = Program::of(&args, "find")?;
    program.charge(subject.len())?;
    let found = program.regex.find(subject).map_or("", |found| found.as_str());
    budget::build(found.len())?;
    Ok(CowVal::owned(CelString::from(found.to_owned())))
}

/// All matches; at most the third argument, when it is not negative.
fn find_all<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let most = match args.get(2).map(|most| most.downcast_ref::<CelInt>()) {
        None => usize::MAX,
        Some(Some(most)) => usize::try_from(*most.inner()).unwrap_or(usize::MAX),
        Some(None) => return Err(wrong_types("findAll", &args)),
    };
    let (program, subject) = Program::of(&args, "findAll")?;
    let mut all: Vec<Box<dyn Val + 'v>> = Vec::new();
    program.charge(subject.len())?;
    for found in program.regex.find_iter(subject).take(most) {
        budget::build(size::NODE + found.len())?;
        all.push(Box::new(CelString::from(found.as_str().to_owned())));
        // Each search may read up to the end of the text.
        program.charge(subject.len() - found.end())?;
    }
    Ok(CowVal::owned(CelList::from(all)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_of_ascii_as_in_re2() {
        let cases = [
            (r"\w+", "[0-9A-Za-z_]+"),
            (r"[\w.-]+@\d", "[[0-9A-Za-z_].-]+@[0-9]"),
            (r"[^\s,]", r"[^[\t\n\f\r ],]"),
            (r"\\w\.", r"\\w\."),
            (r"[[:alpha:][x]", r"[[:alpha:]\[x]"),
            (r"[]a]", r"[\]a]"),
            (r"[^]a]", r"[^\]a]"),
            (r"\bx\B", r"(?-u:\b)x(?-u:\B)"),
            (r"\Qa.b\E+", r"a\.b+"),
            (r"[a&&b~~]", r"[a\&\&b\~\~]"),
        ];
        for (pattern, translated) in cases {
            assert_eq!(as_re2(pattern), translated, "{pattern}");
            assert!(Regex::new(translated).is_ok(), "{translated}");
        }
    }
}
