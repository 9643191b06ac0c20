//! Parses `[?(…)]`: one comparison or an existence test.

use super::{Filter, Operator, parse};
use crate::error::PathError;

/// Parses the filter at the start of `text`; returns also its length.
pub(super) fn parse(text: &str) -> Result<(Filter, usize), PathError> {
    let start = "[?(".len();
    let Some(end) = closing_parenthesis(text, start) else {
        return Err(PathError::at(0, "the filter is never closed; write [?(@.field==\"value\")]"));
    };
    if !text[end + 1..].starts_with(']') {
        return Err(PathError::at(
            end + 1,
            "a filter ends with \")]\"; &&, || and functions are not supported, use CEL",
        ));
    }
    let inner = &text[start..end];
    let filter = match split(inner) {
        None => Filter { left: operand(inner, start)?, right: None },
        Some((at, length)) => {
            let operator = operator(&inner[at..at + length])
                .ok_or_else(|| PathError::at(start + at, "a filter compares with ==, !=, <, <=, > or >="))?;
            let left = operand(&inner[..at], start)?;
            let right = operand(&inner[at + length..], start + at + length)?;
            Filter { left, right: Some((operator, right)) }
        }
    };
    Ok((filter, end + 2))
}

fn operand(text: &str, offset: usize) -> Result<Vec<super::PathStep>, PathError> {
    if text.contains("&&") || text.contains("||") {
        return Err(PathError::at(offset, "a filter has one comparison; use CEL for && and ||"));
    }
    let steps = parse::actions(text, offset)?;
    if steps.is_empty() && !text.contains(['@', '$']) {
        return Err(PathError::at(offset, "the filter compares with nothing"));
    }
    Ok(steps)
}

/// The first `)` that is outside of the first pair of quotes.
fn closing_parenthesis(text: &str, start: usize) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (i, c) in text[start..].char_indices() {
        match (quote, c) {
            (_, '\n') => return None,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if c == open && !escaped => quote = None,
            (None, ')') => return Some(start + i),
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

/// Place and length of the comparison sign.
fn split(text: &str) -> Option<(usize, usize)> {
    let is_sign = |c: char| matches!(c, '!' | '<' | '>' | '=');
    let at = text.find(is_sign)?;
    let length = text[at..].find(|c| !is_sign(c)).unwrap_or(text.len() - at);
    (at > 0).then_some((at, length))
}

fn operator(sign: &str) -> Option<Operator> {
    Some(match sign {
        "==" => Operator::Equal,
        "!=" => Operator::NotEqual,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        _ => return None,
    })
}
