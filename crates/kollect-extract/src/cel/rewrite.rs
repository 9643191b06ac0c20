//! Replaces unbounded functions by bounded ones and inserts a step counter into every loop.

use super::ast;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr};

pub(super) const TICK: &str = "@tick";
pub(super) const TICK_APPEND: &str = "@tick_append";
pub(super) const CHARGE: &str = "@charge";
pub(super) const CHARGE_COPY: &str = "@charge_copy";
pub(super) const CHARGE_JOINED: &str = "@charge_joined";
pub(super) const CHARGE_SORT: &str = "@charge_sort";
pub(super) const CHARGE_WRITTEN: &str = "@charge_written";
/// Keys of a map, indexes of a list.
pub(super) const KEYS: &str = "@keys";
/// The range of a loop, charged as a copy: a list, or the sorted keys of a map. Maps built by an expression have no
/// order, and rows with a random order would be exported again and again.
pub(super) const WALKED: &str = "@walked";
/// Builds a map from a list of pairs of key and value.
pub(super) const ENTRIES: &str = "@entries";
/// Merges maps.
pub(super) const MERGED: &str = "@merged";

/// User-visible and internal name. Member calls become global calls with the target as first argument.
const REPLACED: &[(&str, &str)] = &[
    ("_+_", "@add"),
    ("_==_", "@equal"),
    ("_!=_", "@not_equal"),
    ("_<_", "@less"),
    ("_<=_", "@less_equal"),
    ("_>_", "@greater"),
    ("_>=_", "@greater_equal"),
    ("@in", "@contained"),
    ("matches", "@matches"),
    ("replace", "@replace"),
    ("join", "@join"),
    ("string", "@string"),
    ("split", "@split"),
    ("indexOf", "@index_of"),
    ("lastIndexOf", "@last_index_of"),
    ("flatten", "@flatten"),
    ("distinct", "@distinct"),
];
/// Functions whose result is as long as their target.
const COPYING: &[&str] = &["bytes", "charAt", "lowerAscii", "reverse", "slice", "substring", "trim", "upperAscii"];

/// The user-visible name of a function.
pub(super) fn user_name(name: &str) -> &str {
    REPLACED.iter().find(|(_, ours)| *ours == name).map_or(name, |(theirs, _)| *theirs)
}

/// The same expression with limits. The depth must be checked before.
pub(super) fn rewrite(mut expr: IdedExpr) -> IdedExpr {
    visit(&mut expr);
    expr
}

fn visit(expr: &mut IdedExpr) {
    // Cost of one step of a loop without inner loops.
    let nodes = match &expr.expr {
        Expr::Comprehension(c) => ast::count(&c.loop_cond) + ast::count(&c.loop_step),
        _ => 0,
    };
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
                c.loop_step = counted_append(step, &c.accu_var, nodes);
            } else {
                let condition = std::mem::take(&mut c.loop_cond);
                c.loop_cond = counted(TICK, condition, nodes);
                charge_variable(&mut c.accu_init);
                charge_variable(&mut c.result);
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(charge_part),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    charge_part(&mut entry.key);
                    charge_part(&mut entry.value);
                }
            }
        }
        Expr::Call(call) => bounded(call),
        _ => {}
    }
}

/// Charges elements of lists and maps, which are copied, and literals.
fn charge_part(expr: &mut IdedExpr) {
    let operand = std::mem::take(expr);
    *expr = ast::call(CHARGE_COPY, vec![operand]);
}

/// Charges a range that is copied: a variable or a part of one. A temporary value is moved.
fn charge_variable(expr: &mut IdedExpr) {
    match &mut expr.expr {
        Expr::Ident(_) | Expr::Select(_) => wrap(CHARGE, expr),
        Expr::Call(call) if is_selection(&call.func_name) => wrap(CHARGE, expr),
        Expr::Call(call) if call.func_name == "_?_:_" && call.target.is_none() => {
            call.args.iter_mut().skip(1).for_each(charge_variable);
        }
        _ => {}
    }
}

fn is_selection(name: &str) -> bool {
    matches!(name, "_[_]" | "_[?_]" | "_?._")
}

/// Operators whose operands are of a fixed size.
fn is_scalar(name: &str) -> bool {
    matches!(name, "_?_:_" | "_&&_" | "_||_" | "!_" | "-_" | "_-_" | "_*_" | "_/_" | "_%_" | "@not_strictly_false")
}

fn wrap(function: &str, expr: &mut IdedExpr) {
    if !matches!(expr.expr, Expr::Literal(_)) {
        let operand = std::mem::take(expr);
        *expr = ast::call(function, vec![operand]);
    }
}

/// `condition && tick(nodes)`.
fn counted(tick: &str, condition: IdedExpr, nodes: usize) -> IdedExpr {
    ast::call("_?_:_", vec![ast::call(tick, vec![ast::number(nodes)]), condition, ast::truth(false)])
}

/// Spends in the step of the loop, because the interpreter appends in place only with a literal condition.
fn counted_append(step: IdedExpr, accu: &str, nodes: usize) -> IdedExpr {
    match step.expr {
        Expr::Call(mut call) if call.func_name == "_?_:_" => {
            let guard = std::mem::take(&mut call.args[0]);
            call.args[0] = counted(TICK_APPEND, guard, nodes);
            IdedExpr { id: step.id, expr: Expr::Call(call) }
        }
        expr => {
            let step = IdedExpr { id: step.id, expr };
            let tick = ast::call(TICK_APPEND, vec![ast::number(nodes)]);
            ast::call("_?_:_", vec![tick, step, ast::ident(accu)])
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
        visit(&mut call.args[1]);
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
    let name = call.func_name.as_str();
    // A selection moves out of a built value; a lookup of a key is charged with the map.
    if is_scalar(name) || is_selection(name) || is_ours(name) {
        return;
    }
    let namespace = call.target.as_deref().is_some_and(is_namespace);
    // The others are linear in their operands, which are charged.
    let (of_target, of_args) = match name {
        "format" => (CHARGE_JOINED, CHARGE_WRITTEN),
        "sort" | "@sortByAssociatedKeys" => (CHARGE_SORT, CHARGE_SORT),
        _ if COPYING.contains(&name) || namespace => (CHARGE_JOINED, CHARGE_JOINED),
        _ => (CHARGE, CHARGE),
    };
    if let Some(target) = call.target.as_deref_mut().filter(|_| !namespace) {
        wrap(of_target, target);
    }
    call.args.iter_mut().for_each(|arg| wrap(of_args, arg));
}

/// Functions that charge their operands themselves.
fn is_ours(name: &str) -> bool {
    [TICK, TICK_APPEND, CHARGE, CHARGE_COPY, CHARGE_JOINED, CHARGE_SORT, CHARGE_WRITTEN, KEYS, WALKED, ENTRIES, MERGED]
        .contains(&name)
}

fn is_namespace(target: &IdedExpr) -> bool {
    matches!(&target.expr, Expr::Ident(name)
        if matches!(name.as_str(), "base64" | "format" | "ip" | "lists" | "math" | "optional" | "sets" | "strings"))
}
