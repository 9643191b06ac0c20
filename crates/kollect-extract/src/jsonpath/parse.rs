//! Parses a path to steps, by the grammar of client-go's template parser.
//!
//! Where that parser silently returns the text itself, this one returns an error.

use super::{JsonPath, PathStep, Slice, filter};
use crate::error::PathError;
use serde_json::Value;

/// Longest path that is accepted.
const MAX_LENGTH: usize = 4096;

impl JsonPath {
    /// Compiles a path that has no `cel:` or `helm:` prefix.
    pub(crate) fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > MAX_LENGTH {
            return Err(PathError::new(format!("the path is longer than {MAX_LENGTH} bytes")));
        }
        if text.starts_with("object.") || text.starts_with("object[") {
            return Err(PathError::at(0, format!("this is CEL; write cel:{text}")));
        }
        let steps = match text.as_bytes().first() {
            None => return Err(PathError::new("the path is empty")),
            Some(b'{') => parse_template(text)?,
            Some(b'$' | b'.' | b'[') => actions(text, 0)?,
            Some(_) if text.contains('{') => return Err(outside_braces(0)),
            Some(_) => {
                return Err(PathError::at(0, format!("a JSONPath starts with \"$.\" or \"{{\"; write $.{text}")));
            }
        };
        Ok(Self { steps })
    }
}

fn outside_braces(at: usize) -> PathError {
    PathError::at(at, "text outside of braces would be exported as it is; keep one expression {…} only")
}

/// `{…}`. A second expression is refused: it would join two results to a text.
fn parse_template(text: &str) -> Result<Vec<PathStep>, PathError> {
    let mut parser = Parser { text, at: 1, in_braces: true, steps: Vec::new() };
    parser.run()?;
    match text.as_bytes().get(parser.at) {
        None => Ok(parser.steps),
        Some(b'{') => Err(PathError::at(
            parser.at,
            "a path has one expression {…}; write one attribute for each, or join them with CEL, as in \
             cel:object.metadata.namespace + \"/\" + object.metadata.name",
        )),
        Some(_) => Err(outside_braces(parser.at)),
    }
}

/// Parses text without braces; `offset` is its place in the whole path.
pub(super) fn actions(text: &str, offset: usize) -> Result<Vec<PathStep>, PathError> {
    let mut parser = Parser { text, at: 0, in_braces: false, steps: Vec::new() };
    parser.run().map_err(|error| error.shifted(offset))?;
    Ok(parser.steps)
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    in_braces: bool,
    steps: Vec<PathStep>,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, PathError> {
        Err(PathError::at(self.at, message))
    }

    fn run(&mut self) -> Result<(), PathError> {
        loop {
            let rest = self.rest();
            let Some(next) = rest.chars().next() else {
                return if self.in_braces { self.error("the brace is never closed") } else { Ok(()) };
            };
            if rest.starts_with("[?(") {
                let (filter, length) = filter::parse(rest).map_err(|error| error.shifted(self.at))?;
                self.steps.push(PathStep::Filter(Box::new(filter)));
                self.at += length;
                continue;
            }
            if rest.starts_with("..") {
                self.recursive()?;
                continue;
            }
            match next {
                '}' if self.in_braces => {
                    self.at += 1;
                    return Ok(());
                }
                ' ' | '@' | '$' => self.at += 1,
                '[' => self.bracket()?,
                '"' | '\'' => self.quoted(next)?,
                '.' => {
                    self.at += 1;
                    self.field()?;
                }
                '+' | '-' => self.number()?,
                c if c.is_ascii_digit() => self.number()?,
                c if c == '_' || c.is_alphanumeric() => self.identifier()?,
                '\n' | '\r' => return self.error("a path cannot have more than one line"),
                c => return self.error(format!("unexpected character {c:?}")),
            }
        }
    }

    fn recursive(&mut self) -> Result<(), PathError> {
        if self.steps.last() == Some(&PathStep::Recursive) {
            return self.error("\"..\" cannot follow \"..\"");
        }
        self.at += 2;
        self.steps.push(PathStep::Recursive);
        match self.rest().chars().next() {
            Some(c) if c == '_' || c == '*' || c.is_alphanumeric() => self.field(),
            _ => Ok(()),
        }
    }

    /// A field up to the next terminator; a backslash escapes a terminator.
    fn field(&mut self) -> Result<(), PathError> {
        let mut name = String::new();
        let mut chars = self.rest().char_indices();
        let mut length = self.rest().len();
        while let Some((i, c)) = chars.next() {
            if c == '\\' {
                name.extend(chars.next().map(|(_, escaped)| escaped).filter(|&escaped| escaped != '\\'));
            } else if is_terminator(c) {
                length = i;
                break;
            } else {
                name.push(c);
            }
        }
        if length == 0 {
            // `{.}` and `$.['a']`: the lone dot selects nothing.
            return match self.rest().chars().next() {
                Some('[') => Ok(()),
                None | Some('}' | ' ') if self.steps.is_empty() => Ok(()),
                _ => self.error("a field name is missing after \".\""),
            };
        }
        self.at += length;
        self.steps.push(if name == "*" { PathStep::Wildcard } else { PathStep::Field(name.into()) });
        Ok(())
    }

    fn identifier(&mut self) -> Result<(), PathError> {
        let word = self.rest().split(is_terminator).next().unwrap_or_default();
        match word {
            "true" | "false" => self.steps.push(PathStep::Literal(Value::Bool(word == "true"))),
            "range" | "end" => {
                return self.error("range and end are not supported: a path returns all its matches as a list");
            }
            _ => return self.error(format!("{word:?} is not understood here; a field needs a dot in front: .{word}")),
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), PathError> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with(['+', '-']));
        let length = sign + rest[sign..].find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len() - sign);
        let text = &rest[..length];
        let value = if let Ok(whole) = text.parse::<i64>() {
            Value::from(whole)
        } else if let Ok(fraction) = text.parse::<f64>() {
            Value::from(fraction)
        } else {
            return self.error(format!("{text:?} is not a number"));
        };
        self.steps.push(PathStep::Literal(value));
        self.at += length;
        Ok(())
    }

    fn quoted(&mut self, quote: char) -> Result<(), PathError> {
        let rest = self.rest();
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find(|&(_, c)| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some((end, _)) = end else { return self.error("the quote is never closed") };
        let Some(text) = unquote(&rest[1..end]) else { return self.error("the string has an unknown \\ escape") };
        self.steps.push(PathStep::Literal(Value::String(text)));
        self.at += end + 1;
        Ok(())
    }

    fn bracket(&mut self) -> Result<(), PathError> {
        let rest = self.rest();
        let Some(end) = rest.find(']') else { return self.error("the bracket is never closed") };
        let inner = &rest[1..end];
        let parts: Vec<&str> = inner.split(',').collect();
        if parts.len() > 1 {
            let mut branches = Vec::with_capacity(parts.len());
            for part in parts {
                let part = part.trim_matches(' ');
                let branch = self.bracket_part(part)?;
                if branches.contains(&branch) {
                    return self.error(format!("{part} is repeated between the brackets; name each index or key once"));
                }
                branches.push(branch);
            }
            self.steps.push(PathStep::Union(branches));
        } else {
            let steps = self.bracket_part(inner)?;
            self.steps.extend(steps);
        }
        self.at += end + 1;
        Ok(())
    }

    fn bracket_part(&self, part: &str) -> Result<Vec<PathStep>, PathError> {
        if part == "*" {
            return Ok(vec![PathStep::Slice(Slice::default())]);
        }
        if let Some(name) = part.strip_prefix('\'').and_then(|p| p.strip_suffix('\'')).filter(|p| !p.contains('\'')) {
            // kubectl parses the quoted text like `.text`, so dots in it still need a backslash.
            return actions(&format!(".{name}"), 0).map_err(|error| PathError::at(self.at, error.message));
        }
        if part.starts_with('"') {
            return self.error(format!("keys in brackets need single quotes: ['{}']", part.trim_matches('"')));
        }
        match slice(part) {
            Some(slice) => Ok(vec![PathStep::Slice(slice)]),
            None => self.error(format!("{part:?} is neither an index nor a key; write [0], [1:3], [*] or ['key']")),
        }
    }
}

fn slice(text: &str) -> Option<Slice> {
    let mut parts = text.split(':');
    let mut number = || -> Option<Option<i64>> {
        match parts.next() {
            None | Some("") => Some(None),
            Some(part) if part.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit()) => {
                part.parse().ok().map(Some)
            }
            Some(_) => None,
        }
    };
    let (start, end, step) = (number()?, number()?, number()?);
    if parts.next().is_some() || text.is_empty() {
        return None;
    }
    if text.contains(':') {
        // Normalised, so that equal parts are found.
        return Some(Slice { start: start.filter(|n| *n != 0), end, single: false, step: step.filter(|n| *n != 1) });
    }
    Some(Slice { start, end: start.map(|n| n.saturating_add(1)), single: true, step })
}

fn is_terminator(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

/// Decodes the escapes of a Go string.
fn unquote(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let code = |chars: &mut std::str::Chars<'_>, digits: usize, radix: u32, first: u32| {
            (0..digits)
                .try_fold(first, |sum, _| sum.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?))
                .and_then(char::from_u32)
        };
        out.push(match chars.next()? {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            c @ ('\\' | '\'' | '"') => c,
            'x' => code(&mut chars, 2, 16, 0)?,
            'u' => code(&mut chars, 4, 16, 0)?,
            'U' => code(&mut chars, 8, 16, 0)?,
            c @ '0'..='7' => code(&mut chars, 2, 8, c.to_digit(8)?)?,
            _ => return None,
        });
    }
    Some(out)
}
