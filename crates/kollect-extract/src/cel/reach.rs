//! Computes the field mask of an expression.
//!
//! Follows selections from `object` and from the variables of loops over it. A value with any other use is read
//! completely. The depth must be checked before.

use super::ast;
use crate::mask::{FieldMask, MaskStep};
use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue};

/// A variable and its path in the object, if it has one.
type Variable<'e> = (&'e str, Option<Vec<MaskStep>>);

/// Adds everything that `expr` can read.
pub(super) fn reach(expr: &IdedExpr, mask: &mut FieldMask) {
    let mut scope: Vec<Variable<'_>> = vec![("object", Some(Vec::new()))];
    read(expr, &mut scope, mask);
}

/// Adds `expr` when its whole value is used.
fn read<'e>(expr: &'e IdedExpr, scope: &mut Vec<Variable<'e>>, mask: &mut FieldMask) {
    if let Some(place) = place(expr, scope, mask) {
        mask.insert(&place, true);
        return;
    }
    match &expr.expr {
        Expr::Select(select) if select.test => match place(&select.operand, scope, mask) {
            Some(mut place) => {
                place.push(MaskStep::Field(select.field.as_str().into()));
                mask.insert(&place, false);
            }
            None => read(&select.operand, scope, mask),
        },
        Expr::Comprehension(c) => {
            let item = place(&c.iter_range, scope, mask).map(|mut place| {
                place.push(MaskStep::Any);
                // A loop that reads nothing of an element still needs the number of elements.
                mask.insert(&place, false);
                place
            });
            if item.is_none() {
                read(&c.iter_range, scope, mask);
            }
            read(&c.accu_init, scope, mask);
            let outer = scope.len();
            scope.push((&c.accu_var, None));
            read(&c.result, scope, mask);
            scope.push((&c.iter_var, item));
            scope.extend(c.iter_var2.as_deref().map(|name| (name, None)));
            read(&c.loop_cond, scope, mask);
            read(&c.loop_step, scope, mask);
            scope.truncate(outer);
        }
        _ => ast::children(expr, |child| read(child, scope, mask)),
    }
}

/// The path of `expr` in the object; operands that are read on the way are added to the mask.
fn place<'e>(expr: &'e IdedExpr, scope: &mut Vec<Variable<'e>>, mask: &mut FieldMask) -> Option<Vec<MaskStep>> {
    match &expr.expr {
        Expr::Ident(name) => scope.iter().rev().find(|(known, _)| known == name).and_then(|(_, place)| place.clone()),
        Expr::Select(select) if !select.test => {
            let mut place = place(&select.operand, scope, mask)?;
            place.push(MaskStep::Field(select.field.as_str().into()));
            Some(place)
        }
        Expr::Call(call) if matches!(call.func_name.as_str(), "_[_]" | "_[?_]" | "_?._") && call.args.len() == 2 => {
            let mut place = place(&call.args[0], scope, mask)?;
            if let Expr::Literal(LiteralValue::String(text)) = &call.args[1].expr {
                place.push(MaskStep::Field(text.inner().into()));
            } else {
                read(&call.args[1], scope, mask);
                place.push(MaskStep::Any);
            }
            Some(place)
        }
        _ => None,
    }
}
