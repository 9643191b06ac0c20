//! Puts bounded functions in place of the unbounded ones, and a step counter into every loop.

use super::ast;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr};

pub(super) const TICK: &str = "@tick";
pub(super) const CHARGE: &str = "@charge";
pub(super) const CHARGE_SQUARE: &str = "@charge_square";
pub(super) const CHARGE_DEEP: &str = "@charge_deep";
/// Keys of a map, indexes of a list.
pub(super) const KEYS: &str = "@keys";
/// What a loop walks, charged as a copy: a list as it is, of a map its keys in order. Maps that an expression built have none, and a row
/// that differs from one look to the next would be written again and again.
pub(super) const WALKED: &str = "@walked";
/// The map that a list of pairs of key and value makes.
pub(super) const ENTRIES: &str = "@entries";
/// The map that maps make together.
pub(super) const MERGED: &str = "@merged";

/// Written name, our name. Member calls become global calls with the target as first argument.
const REPLACED: &[(&str, &str)] = &[
    ("_+_", "@add"),
    ("_==_", "@equal"),
    ("_!=_", "@not_equal"),
    ("@in", "@contained"),
    ("matches", "@matches"),
    ("replace", "@replace"),
    ("join", "@join"),
];

/// The name by which a user knows a function.
pub(super) fn user_name(name: &str) -> &str {
    REPLACED.iter().find(|(_, ours)| *ours == name).map_or(name, |(theirs, _)| *theirs)
}

/// The same expression with limits. The depth was checked before.
pub(super) fn rewrite(mut expr: IdedExpr) -> IdedExpr {
    visit(&mut expr);
    expr
}

fn visit(expr: &mut IdedExpr) {
    match &mut expr.expr {
        Expr::Comprehension(c) if appends(&c.loop_step, &c.accu_var) => {
            visit(&mut c.iter_range);
            visit_append(&mut c.loop_step);
        }
        _ => ast::children_mut(expr, visit),
    }
    match &mut expr.expr {
        Expr::Comprehension(c) => {
            wrap(WALKED, &mut c.iter_range);
            if appends(&c.loop_step, &c.accu_var) {
                let step = std::mem::take(&mut c.loop_step);
                c.loop_step = counted_append(step, &c.accu_var);
            } else {
                let condition = std::mem::take(&mut c.loop_cond);
                c.loop_cond = counted(condition);
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(charge_copy),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    charge_copy(&mut entry.value);
                }
            }
        }
        Expr::Call(call) => bounded(call),
        _ => {}
    }
}

/// Elements of lists and maps, and the items of loops, are copied with everything that an expression built in them.
fn charge_copy(expr: &mut IdedExpr) {
    wrap(CHARGE_DEEP, expr);
}

fn wrap(function: &str, expr: &mut IdedExpr) {
    if !matches!(expr.expr, Expr::Literal(_)) {
        let operand = std::mem::take(expr);
        *expr = ast::call(function, vec![operand]);
    }
}

/// `condition`, and a step is taken.
fn counted(condition: IdedExpr) -> IdedExpr {
    ast::call("_?_:_", vec![ast::call(TICK, Vec::new()), condition, ast::truth(false)])
}

/// The interpreter appends in place only while the loop has this shape and a literal condition: count in the step.
fn counted_append(step: IdedExpr, accu: &str) -> IdedExpr {
    match step.expr {
        Expr::Call(mut call) if call.func_name == "_?_:_" => {
            let guard = std::mem::take(&mut call.args[0]);
            call.args[0] = counted(guard);
            IdedExpr { id: step.id, expr: Expr::Call(call) }
        }
        expr => {
            let step = IdedExpr { id: step.id, expr };
            ast::call("_?_:_", vec![ast::call(TICK, Vec::new()), step, ast::ident(accu)])
        }
    }
}

fn is_append(expr: &IdedExpr, accu: &str) -> bool {
    matches!(&expr.expr, Expr::Call(call) if call.func_name == "_+_" && call.target.is_none()
        && matches!(&call.args[..], [left, right]
            if matches!(&left.expr, Expr::Ident(name) if name == accu) && matches!(right.expr, Expr::List(_))))
}

/// `accu + [x]`, or `condition ? accu + [x] : accu`.
fn appends(step: &IdedExpr, accu: &str) -> bool {
    match &step.expr {
        Expr::Call(call) if call.func_name == "_?_:_" && call.args.len() == 3 => is_append(&call.args[1], accu),
        _ => is_append(step, accu),
    }
}

fn visit_append(step: &mut IdedExpr) {
    let Expr::Call(call) = &mut step.expr else { return };
    if call.func_name == "_?_:_" {
        visit(&mut call.args[0]);
        visit_append(&mut call.args[1]);
    } else {
        ast::children_mut(&mut call.args[1], visit);
    }
}

fn bounded(call: &mut CallExpr) {
    let qualified = matches!(&call.target, Some(t) if matches!(&t.expr, Expr::Ident(n) if n == "lists"));
    if qualified && call.func_name == "range" {
        call.target = None;
        "@range".clone_into(&mut call.func_name);
        return;
    }
    if let Some((_, ours)) = REPLACED.iter().find(|(theirs, _)| *theirs == call.func_name) {
        (*ours).clone_into(&mut call.func_name);
        if let Some(target) = call.target.take() {
            call.args.insert(0, *target);
        }
        return;
    }
    // Everything else that copies is linear in its operands (`distinct` compares all pairs), so they are charged.
    let charge = if call.func_name == "distinct" { CHARGE_SQUARE } else { CHARGE };
    match &mut call.target {
        Some(target) if !is_namespace(target) => {
            let operand = std::mem::take(&mut **target);
            **target = ast::call(charge, vec![operand]);
        }
        None if matches!(call.func_name.as_str(), "string" | "bytes" | "size") => {
            call.args = std::mem::take(&mut call.args).into_iter().map(|arg| ast::call(charge, vec![arg])).collect();
        }
        _ => {}
    }
}

fn is_namespace(target: &IdedExpr) -> bool {
    matches!(&target.expr, Expr::Ident(name)
        if matches!(name.as_str(), "base64" | "ip" | "lists" | "math" | "optional" | "sets" | "strings"))
}
