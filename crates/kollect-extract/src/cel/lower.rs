//! Lowers simple expressions to a form that needs no interpreter.

use super::lowered::{LookupKey, Lowered};
use cel::IdedExpr;
use cel::common::ast::{ComprehensionExpr, Expr, LiteralValue};
use serde_json::{Number, Value};

/// The lowered expression; `None` when a part of it needs the interpreter.
pub(super) fn lower(expr: &IdedExpr) -> Option<Lowered> {
    if let Some(keys) = path(expr, "object") {
        return Some(Lowered::Select(keys));
    }
    match &expr.expr {
        Expr::Literal(literal) => value(literal).map(Lowered::Literal),
        Expr::Select(select) if select.test => {
            Some(Lowered::Has(path(&select.operand, "object")?, select.field.as_str().into()))
        }
        Expr::Comprehension(c) => map(c),
        Expr::Call(call) => {
            if call.func_name == "size" {
                let operand = match (&call.target, call.args.as_slice()) {
                    (Some(target), []) => target,
                    (None, [operand]) => operand,
                    _ => return None,
                };
                return Some(Lowered::Size(Box::new(lower(operand)?)));
            }
            if call.target.is_some() {
                return None;
            }
            match (call.func_name.as_str(), call.args.as_slice()) {
                ("_==_", [a, b]) => Some(Lowered::Equal(Box::new([lower(a)?, lower(b)?]))),
                ("_!=_", [a, b]) => Some(Lowered::NotEqual(Box::new([lower(a)?, lower(b)?]))),
                ("!_", [a]) => Some(Lowered::Not(Box::new(lower(a)?))),
                ("_&&_", [a, b]) => Some(Lowered::And(Box::new([lower(a)?, lower(b)?]))),
                ("_||_", [a, b]) => Some(Lowered::Or(Box::new([lower(a)?, lower(b)?]))),
                ("_?_:_", [a, b, c]) => Some(Lowered::If(Box::new([lower(a)?, lower(b)?, lower(c)?]))),
                _ => None,
            }
        }
        _ => None,
    }
}

fn value(literal: &LiteralValue) -> Option<Value> {
    Some(match literal {
        LiteralValue::Null => Value::Null,
        LiteralValue::Boolean(truth) => Value::Bool(*truth.inner()),
        LiteralValue::Int(number) => Value::from(*number.inner()),
        LiteralValue::UInt(number) => Value::from(*number.inner()),
        LiteralValue::Double(number) => Value::Number(Number::from_f64(*number.inner())?),
        LiteralValue::String(text) => Value::from(text.inner()),
        LiteralValue::Bytes(_) => return None,
    })
}

/// The keys of `root.a["b"][0]…`.
fn path(expr: &IdedExpr, root: &str) -> Option<Vec<LookupKey>> {
    let mut keys = Vec::new();
    let mut expr = expr;
    loop {
        expr = match &expr.expr {
            Expr::Ident(name) if name == root => {
                keys.reverse();
                return Some(keys);
            }
            Expr::Select(select) if !select.test => {
                keys.push(LookupKey::Field(select.field.as_str().into()));
                &select.operand
            }
            Expr::Call(call) if call.func_name == "_[_]" && call.args.len() == 2 => {
                keys.push(match &call.args[1].expr {
                    Expr::Literal(LiteralValue::String(text)) => LookupKey::Field(text.inner().into()),
                    Expr::Literal(LiteralValue::Int(index)) => LookupKey::Index(*index.inner()),
                    _ => return None,
                });
                &call.args[0]
            }
            _ => return None,
        };
    }
}

/// `list.map(x, x.path)`, as the parser expands it.
fn map(c: &ComprehensionExpr) -> Option<Lowered> {
    let is_accu = |expr: &IdedExpr| matches!(&expr.expr, Expr::Ident(name) if *name == c.accu_var);
    let Expr::Call(append) = &c.loop_step.expr else { return None };
    let [accu, made] = append.args.as_slice() else { return None };
    let Expr::List(made) = &made.expr else { return None };
    let [item] = made.elements.as_slice() else { return None };
    let is_map = append.func_name == "_+_"
        && is_accu(accu)
        && is_accu(&c.result)
        && made.optional_indices.is_empty()
        && c.iter_var2.is_none()
        && matches!(&c.accu_init.expr, Expr::List(start) if start.elements.is_empty())
        && matches!(&c.loop_cond.expr, Expr::Literal(LiteralValue::Boolean(truth)) if *truth.inner());
    if !is_map {
        return None;
    }
    let keys = path(item, &c.iter_var).filter(|keys| !keys.is_empty())?;
    let list = path(&c.iter_range, "object")?;
    Some(Lowered::Map(Box::new(Lowered::Select(list)), keys))
}
