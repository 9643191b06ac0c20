//! The macros of the extensions, which the parser does not know: `sortBy`, `math.greatest`, `math.least`, `optMap`,
//! `optFlatMap`, and those with two variables: `all`, `exists`, `existsOne`, `transformList`, `transformMap`,
//! `transformMapEntry`.

use super::ast::{bind, call, ident, list, member_call, node, truth};
use crate::error::PathError;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue};

const INPUT: &str = "@input";
const RESULT: &str = "@result";

/// Expands macros, innermost first. The depth must be checked before.
pub(super) fn expand(expr: &mut IdedExpr) -> Result<(), PathError> {
    let mut result = Ok(());
    super::ast::children_mut(expr, |child| {
        if result.is_ok() {
            result = expand(child);
        }
    });
    result?;
    let Expr::Call(call) = &mut expr.expr else { return Ok(()) };
    let Some(target) = &mut call.target else { return Ok(()) };
    let on_math = matches!(&target.expr, Expr::Ident(name) if name == "math");
    let made = match call.func_name.as_str() {
        "sortBy" if call.args.len() == 2 => sort_by(call)?,
        "optMap" | "optFlatMap" if call.args.len() == 2 => opt_map(call)?,
        "all" | "exists" | "existsOne" | "exists_one" if call.args.len() == 3 => two_variables(call)?,
        "transformList" | "transformMap" | "transformMapEntry" if matches!(call.args.len(), 3 | 4) => {
            two_variables(call)?
        }
        "greatest" if on_math && !call.args.is_empty() => extreme("math.@max", &mut call.args),
        "least" if on_math && !call.args.is_empty() => extreme("math.@min", &mut call.args),
        _ => return Ok(()),
    };
    *expr = made;
    Ok(())
}

fn take(expr: &mut IdedExpr) -> IdedExpr {
    std::mem::take(expr)
}

fn taken_target(call: &mut CallExpr) -> IdedExpr {
    call.target.take().map(|target| *target).unwrap_or_default()
}

fn variable(call: &CallExpr, place: usize) -> Result<String, PathError> {
    match &call.args[place].expr {
        Expr::Ident(name) => Ok(name.clone()),
        _ => Err(PathError::new(format!("argument {} of {} is not a variable name", place + 1, call.func_name))),
    }
}

fn extreme(function: &str, args: &mut Vec<IdedExpr>) -> IdedExpr {
    let args = std::mem::take(args);
    call(function, if args.len() > 2 { vec![list(args)] } else { args })
}

/// `input.sortBy(v, key)` is `input` sorted by the list `input.map(v, key)`.
fn sort_by(call: &mut CallExpr) -> Result<IdedExpr, PathError> {
    let iter_var = variable(call, 0)?;
    let key = take(&mut call.args[1]);
    let keys = node(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: ident(INPUT),
        iter_var,
        iter_var2: None,
        accu_var: RESULT.to_owned(),
        accu_init: list(Vec::new()),
        loop_cond: truth(true),
        loop_step: super::ast::call("_+_", vec![ident(RESULT), list(vec![key])]),
        result: ident(RESULT),
    })));
    let sorted = member_call(ident(INPUT), "@sortByAssociatedKeys", vec![keys]);
    Ok(bind(INPUT, taken_target(call), sorted))
}

/// `input.optMap(v, e)` is `optional.of(e)` with `v` as the value of `input`, or `optional.none()`.
fn opt_map(call: &mut CallExpr) -> Result<IdedExpr, PathError> {
    let name = variable(call, 0)?;
    let flat = call.func_name == "optFlatMap";
    let body = bind(&name, member_call(ident(INPUT), "value", Vec::new()), take(&mut call.args[1]));
    let some = if flat { body } else { member_call(ident("optional"), "of", vec![body]) };
    let none = member_call(ident("optional"), "none", Vec::new());
    let present = member_call(ident(INPUT), "hasValue", Vec::new());
    Ok(bind(INPUT, taken_target(call), super::ast::call("_?_:_", vec![present, some, none])))
}

/// `input.all(k, v, e)` and similar: a loop over keys or indexes, with `v` as the value at each.
fn two_variables(call: &mut CallExpr) -> Result<IdedExpr, PathError> {
    let (key, value) = (variable(call, 0)?, variable(call, 1)?);
    let with_value = |body: IdedExpr| {
        let there = super::ast::call("_[_]", vec![ident(INPUT), ident(&key)]);
        bind(&value, there, body)
    };
    let accu = || ident(RESULT);
    let plus = |more: IdedExpr| super::ast::call("_+_", vec![accu(), more]);
    let otherwise = |test: IdedExpr, then: IdedExpr| super::ast::call("_?_:_", vec![test, then, accu()]);
    let number = |n: i64| node(Expr::Literal(LiteralValue::Int(n.into())));
    let body = with_value(take(&mut call.args[2]));
    let strict = |test| super::ast::call("@not_strictly_false", vec![test]);
    let (start, condition, step, result) = match call.func_name.as_str() {
        "all" => (truth(true), strict(accu()), super::ast::call("_&&_", vec![accu(), body]), accu()),
        "exists" => {
            let open = super::ast::call("!_", vec![accu()]);
            (truth(false), strict(open), super::ast::call("_||_", vec![accu(), body]), accu())
        }
        "transformList" | "transformMap" | "transformMapEntry" => {
            // A map is built from a list of its entries.
            let of_map = call.func_name == "transformMap";
            let entry = |made: IdedExpr| if of_map { list(vec![ident(&key), made]) } else { made };
            let made = |made: IdedExpr| plus(list(vec![entry(made)]));
            let step = match call.args.get_mut(3).map(|made| with_value(take(made))) {
                None => made(body),
                Some(then) => otherwise(body, made(then)),
            };
            (list(Vec::new()), truth(true), step, accu())
        }
        _ => {
            let one = super::ast::call("_==_", vec![accu(), number(1)]);
            (number(0), truth(true), otherwise(body, plus(number(1))), one)
        }
    };
    let keys = super::ast::call(super::rewrite::KEYS, vec![ident(INPUT)]);
    let walk = node(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: keys,
        iter_var: key.clone(),
        iter_var2: None,
        accu_var: RESULT.to_owned(),
        accu_init: start,
        loop_cond: condition,
        loop_step: step,
        result,
    })));
    // After the loop, not in its result: the interpreter appends in place only while the result is the list itself.
    let made = match call.func_name.as_str() {
        "transformMap" => super::ast::call(super::rewrite::ENTRIES, vec![walk]),
        "transformMapEntry" => super::ast::call(super::rewrite::MERGED, vec![walk]),
        _ => walk,
    };
    Ok(bind(INPUT, taken_target(call), made))
}
