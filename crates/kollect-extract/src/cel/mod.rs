//! CEL over borrowed JSON, bounded in time, memory and stack. It must not know attributes, scrubbing or profiles.
//!
//! text → `limits` → parse → `expand` macros → `check` names → `lower` what needs no interpreter → `rewrite` the rest.

mod args;
mod ast;
mod check;
mod convert;
mod env;
mod error;
mod expand;
mod functions;
mod kube;
mod limits;
mod lists;
mod lower;
mod lowered;
mod numbers;
mod reach;
mod regexes;
mod rewrite;
mod size;
mod strings;
mod view;

pub(crate) use lowered::ProgramOutput;

use crate::budget;
use crate::error::{EvalError, PathError};
use crate::mask::FieldMask;
use cel::IdedExpr;
use cel::parser::PrattParser;
use lowered::Lowered;
use serde_json::Value;

/// A compiled expression over the variable `object`.
#[derive(Debug)]
pub(crate) struct Program {
    plan: Plan,
    mask: FieldMask,
    /// Nodes of the expression: steps of one evaluation without loops.
    nodes: usize,
}

#[derive(Debug)]
enum Plan {
    /// Evaluated directly over the JSON, without an allocation in most cases.
    Lowered(Lowered),
    /// Evaluated by the interpreter.
    Interpreted(Box<IdedExpr>),
}

impl Program {
    pub(crate) fn compile(source: &str) -> Result<Self, PathError> {
        let expr = parse(source)?;
        let mut mask = FieldMask::nothing();
        reach::reach(&expr, &mut mask);
        let nodes = ast::count(&expr);
        let plan = match lower::lower(&expr) {
            Some(lowered) => Plan::Lowered(lowered),
            None => Plan::Interpreted(Box::new(rewrite::rewrite(expr))),
        };
        Ok(Self { plan, mask, nodes })
    }

    /// What the expression can read.
    pub(crate) fn mask(&self) -> &FieldMask {
        &self.mask
    }

    pub(crate) fn evaluate<'a>(&'a self, object: &'a Value) -> Result<ProgramOutput<'a>, EvalError> {
        budget::charge(self.nodes)?;
        match &self.plan {
            Plan::Lowered(lowered) => lowered.evaluate(object),
            Plan::Interpreted(expr) => interpret(expr, object).map(ProgramOutput::Made),
        }
    }
}

fn parse(source: &str) -> Result<IdedExpr, PathError> {
    limits::check_source(source)?;
    let parser = PrattParser::new().enable_optional_syntax(true).enable_ident_escape_syntax(true);
    let mut expr = parser.parse(source).map_err(|errors| syntax_error(source, &errors))?;
    expand::expand(&mut expr)?;
    limits::check_depth(&expr)?;
    check::check(&expr)
        .map_err(|unknown| PathError { offset: source.find(&unknown.name), message: unknown.message })?;
    Ok(expr)
}

fn syntax_error(source: &str, errors: &cel::ParseErrors) -> PathError {
    let Some(first) = errors.errors.first() else { return PathError::new("the expression does not parse") };
    let (line, column) = (usize::try_from(first.pos.0).unwrap_or(0), usize::try_from(first.pos.1).unwrap_or(0));
    let before: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    PathError::at((before + column.saturating_sub(1)).min(source.len()), format!("CEL syntax: {}", first.msg))
}

fn interpret(expr: &IdedExpr, object: &Value) -> Result<Value, EvalError> {
    let root = env::root().ok_or_else(|| EvalError::limit("the CEL environment could not be built"))?;
    budget::start_building();
    let resolver = view::ObjectVariable::new(object);
    let mut scope = root.new_inner_scope();
    scope.set_variable_resolver(&resolver);
    let result = cel::Value::resolve_val(expr, &scope);
    // `&&` and `||` may have absorbed an exceeded limit.
    budget::check()?;
    let result = result.map_err(|error| error::describe(&error))?;
    convert::to_json(&*result)
}

#[cfg(test)]
mod tests;
