//! Limits that are checked before anything recurses over an expression.
//!
//! Parser and interpreter recurse once per level of the tree, and `a.b.c…` or `1+1+…` is as deep as it is long. A
//! stack overflow ends the process, so the depth is bounded by the tokens, before parsing.

use super::ast;
use crate::error::PathError;
use cel::IdedExpr;
use cel::parser::pratt_parser::{Lexer, TokenKind, get_binary_op_info};

/// Longest expression, in bytes.
pub(super) const MAX_LENGTH: usize = 4096;
/// Deepest expression as written: nesting, chains and operators.
const MAX_WRITTEN_DEPTH: usize = 48;
/// Deepest tree, macros expanded. An unoptimised build needs up to 26 KiB of stack per level of 2 MiB.
const MAX_DEPTH: usize = 56;
/// Most nodes of the tree.
const MAX_NODES: usize = 8192;

/// Refuses text that is too long or could make a tree that is too deep.
pub(super) fn check_source(source: &str) -> Result<(), PathError> {
    if source.len() > MAX_LENGTH {
        return Err(PathError::new(format!("the expression is longer than {MAX_LENGTH} bytes")));
    }
    let mut lexer = Lexer::new(source);
    let mut levels = vec![Level::default()];
    // Every token has at least one byte, so the loop ends even if the lexer does not advance.
    for _ in 0..=source.len() {
        let token = lexer.lex();
        match token.kind {
            TokenKind::TokEnd | TokenKind::TokError => break,
            TokenKind::TokWhitespace | TokenKind::TokComment => continue,
            TokenKind::TokLeftBracket | TokenKind::TokLeftBrace | TokenKind::TokLeftParen => {
                levels.push(Level::default());
            }
            TokenKind::TokRightBracket | TokenKind::TokRightBrace | TokenKind::TokRightParen => close(&mut levels),
            kind => {
                if let Some(level) = levels.last_mut() {
                    level.token(kind);
                }
            }
        }
        if levels.len() > MAX_WRITTEN_DEPTH || levels.last().is_some_and(|level| level.depth() > MAX_WRITTEN_DEPTH) {
            return Err(too_deep(Some(token.start)));
        }
    }
    while levels.len() > 1 {
        close(&mut levels);
    }
    match levels.first() {
        Some(level) if level.depth() > MAX_WRITTEN_DEPTH => Err(too_deep(None)),
        _ => Ok(()),
    }
}

fn too_deep(offset: Option<usize>) -> PathError {
    PathError { offset, message: "the expression is nested or chained too deeply".to_owned() }
}

fn close(levels: &mut Vec<Level>) {
    if levels.len() > 1
        && let Some(inner) = levels.pop()
        && let Some(outer) = levels.last_mut()
    {
        outer.links += 1;
        outer.nested = outer.nested.max(inner.depth());
    }
}

/// An upper bound for the depth of the text between two brackets.
#[derive(Default)]
struct Level {
    /// Selections, calls and signs of the current operand.
    links: usize,
    /// Deepest brackets of the current operand.
    nested: usize,
    /// Deepest operand since the last `&&`, `||` or `?`.
    operand: usize,
    operators: usize,
    /// Deepest part since the last comma.
    part: usize,
    ternaries: usize,
    /// How many `&&` and `||`.
    logical: usize,
    /// Deepest element before the last comma.
    element: usize,
}

impl Level {
    fn token(&mut self, kind: TokenKind) {
        match kind {
            TokenKind::TokDot | TokenKind::TokExclamation => self.links += 1,
            TokenKind::TokComma => *self = Self { element: self.depth(), ..Self::default() },
            TokenKind::TokLogicalAnd | TokenKind::TokLogicalOr => {
                self.end_part();
                self.logical += 1;
            }
            TokenKind::TokQuestion => {
                self.end_part();
                self.ternaries += 1;
            }
            TokenKind::TokColon => self.end_part(),
            kind if get_binary_op_info(kind).kind != TokenKind::TokError => {
                self.operand = self.operand.max(self.links + self.nested);
                (self.links, self.nested) = (0, 0);
                self.operators += 1;
            }
            _ => {}
        }
    }

    fn end_part(&mut self) {
        self.part = self.part.max(self.part_depth());
        (self.links, self.nested, self.operand, self.operators) = (0, 0, 0, 0);
    }

    fn part_depth(&self) -> usize {
        self.operators + self.operand.max(self.links + self.nested)
    }

    fn depth(&self) -> usize {
        // Chains of `&&` and of `||` become balanced trees, the former inside of the latter.
        let logical = 2 * (usize::BITS - self.logical.leading_zeros()) as usize;
        let here = 1 + logical + self.ternaries + self.part.max(self.part_depth());
        here.max(self.element)
    }
}

/// Refuses trees that are too deep or too large after macro expansion. Does not recurse.
pub(super) fn check_depth(expr: &IdedExpr) -> Result<(), PathError> {
    let mut nodes = 0;
    let mut open = vec![(expr, 1)];
    while let Some((expr, depth)) = open.pop() {
        nodes += 1;
        if depth > MAX_DEPTH {
            return Err(too_deep(None));
        }
        if nodes > MAX_NODES {
            return Err(PathError::new("the expression is too large"));
        }
        ast::children(expr, |child| open.push((child, depth + 1)));
    }
    Ok(())
}
