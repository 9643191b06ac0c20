//! Traverses and builds syntax trees.
//!
//! Callers recurse, so the tree must have passed `limits` first.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue};

/// Calls `each` for every direct child.
pub(super) fn children<'e>(expr: &'e IdedExpr, mut each: impl FnMut(&'e IdedExpr)) {
    match &expr.expr {
        Expr::Call(call) => {
            if let Some(target) = &call.target {
                each(target);
            }
            call.args.iter().for_each(each);
        }
        Expr::Comprehension(c) => {
            [&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result].into_iter().for_each(each);
        }
        Expr::List(list) => list.elements.iter().for_each(each),
        Expr::Select(select) => each(&select.operand),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    each(&entry.key);
                    each(&entry.value);
                }
            }
        }
        Expr::Struct(_) | Expr::Literal(_) | Expr::Ident(_) | Expr::Unspecified => {}
    }
}

/// Calls `each` for every direct child.
pub(super) fn children_mut(expr: &mut IdedExpr, mut each: impl FnMut(&mut IdedExpr)) {
    match &mut expr.expr {
        Expr::Call(call) => {
            if let Some(target) = &mut call.target {
                each(target);
            }
            call.args.iter_mut().for_each(each);
        }
        Expr::Comprehension(c) => {
            [&mut c.iter_range, &mut c.accu_init, &mut c.loop_cond, &mut c.loop_step, &mut c.result]
                .into_iter()
                .for_each(each);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(each),
        Expr::Select(select) => each(&mut select.operand),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    each(&mut entry.key);
                    each(&mut entry.value);
                }
            }
        }
        Expr::Struct(_) | Expr::Literal(_) | Expr::Ident(_) | Expr::Unspecified => {}
    }
}

/// Nodes of the tree. Does not recurse.
pub(super) fn count(expr: &IdedExpr) -> usize {
    let (mut nodes, mut open) = (0, vec![expr]);
    while let Some(expr) = open.pop() {
        nodes += 1;
        children(expr, |child| open.push(child));
    }
    nodes
}

pub(super) fn node(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

pub(super) fn ident(name: &str) -> IdedExpr {
    node(Expr::Ident(name.to_owned()))
}

pub(super) fn list(elements: Vec<IdedExpr>) -> IdedExpr {
    node(Expr::List(ListExpr::new(elements)))
}

pub(super) fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    node(Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }))
}

pub(super) fn member_call(target: IdedExpr, name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    node(Expr::Call(CallExpr { func_name: name.to_owned(), target: Some(Box::new(target)), args }))
}

pub(super) fn number(value: usize) -> IdedExpr {
    node(Expr::Literal(LiteralValue::Int(i64::try_from(value).unwrap_or(i64::MAX).into())))
}

pub(super) fn truth(value: bool) -> IdedExpr {
    node(Expr::Literal(LiteralValue::Boolean(value.into())))
}

/// `result` with `name` bound to `value`: a loop over nothing.
pub(super) fn bind(name: &str, value: IdedExpr, result: IdedExpr) -> IdedExpr {
    node(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: list(Vec::new()),
        iter_var: "#unused".to_owned(),
        iter_var2: None,
        accu_var: name.to_owned(),
        accu_init: value,
        loop_cond: truth(false),
        loop_step: ident(name),
        result,
    })))
}
