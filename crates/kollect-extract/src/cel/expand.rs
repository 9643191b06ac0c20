//! The macros of the extensions, which the parser does not know: `sortBy`, `math.greatest`, `math.least`, `optMap`,
//! `optFlatMap`.

use super::ast::{bind, call, ident, list, member_call, node, truth};
use crate::error::PathError;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr};

const INPUT: &str = "@input";
const RESULT: &str = "@result";

/// Expands macros, innermost first. The depth was checked before.
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

fn variable(call: &CallExpr) -> Result<String, PathError> {
    match &call.args[0].expr {
        Expr::Ident(name) => Ok(name.clone()),
        _ => Err(PathError::new(format!("the first argument of {} is a variable name", call.func_name))),
    }
}

fn extreme(function: &str, args: &mut Vec<IdedExpr>) -> IdedExpr {
    let args = std::mem::take(args);
    call(function, if args.len() > 2 { vec![list(args)] } else { args })
}

/// `input.sortBy(v, key)` is `input` sorted by the list `input.map(v, key)`.
fn sort_by(call: &mut CallExpr) -> Result<IdedExpr, PathError> {
    let iter_var = variable(call)?;
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
    let name = variable(call)?;
    let flat = call.func_name == "optFlatMap";
    let body = bind(&name, member_call(ident(INPUT), "value", Vec::new()), take(&mut call.args[1]));
    let some = if flat { body } else { member_call(ident("optional"), "of", vec![body]) };
    let none = member_call(ident("optional"), "none", Vec::new());
    let present = member_call(ident(INPUT), "hasValue", Vec::new());
    Ok(bind(INPUT, taken_target(call), super::ast::call("_?_:_", vec![present, some, none])))
}
