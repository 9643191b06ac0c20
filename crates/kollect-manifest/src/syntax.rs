//! The YAML parser's options and errors, in our own words.

use crate::fault::{Fault, Place, What};
use crate::limits::MAX_DEPTH;
use crate::tree::place_of;
use granit_parser::{ErrorKind, Options, ScanError};

/// How YAML is parsed everywhere.
pub(crate) fn options() -> Options {
    let mut options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH + 1,
        block_nesting_limit: MAX_DEPTH + 1,
        block_scalar_eof_without_line_feed: true,
    };
    options.set_emit_comments(false);
    options
}

/// The fault that an error of the parser stands for.
pub(crate) fn fault(text: &str, error: &ScanError) -> Fault {
    refine(text, Fault::new(place_of(*error.marker()), what(error.kind())))
}

fn what(kind: &ErrorKind) -> What {
    match kind {
        ErrorKind::RecursionLimitExceeded => What::TooDeep,
        ErrorKind::UnknownAnchor => What::UnknownAlias,
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => What::Tab,
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => What::Unclosed("quote"),
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofImplicitFlowMapping => What::Unclosed("bracket"),
        ErrorKind::InvalidDocumentEnd
        | ErrorKind::ExpectedDocumentStart
        | ErrorKind::MissingDocumentEndBeforeDirective => What::AfterEnd,
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidLowSurrogateHexEscape
        | ErrorKind::InvalidLowSurrogate
        | ErrorKind::MissingLowSurrogate
        | ErrorKind::UnpairedLowSurrogate
        | ErrorKind::InvalidUnicodeEscape => What::BadEscape,
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => What::Control,
        _ => What::NotYaml,
    }
}

/// A template is the likeliest reason of anything odd in a document that has one up to the place.
pub(crate) fn refine(text: &str, fault: Fault) -> Fault {
    let unclear = matches!(
        fault.what,
        What::NotYaml | What::KeyIsNoText | What::Unclosed(_) | What::DuplicateKey(_) | What::AfterEnd
    );
    if !unclear {
        return fault;
    }
    let upto = usize::try_from(fault.place.line).unwrap_or(usize::MAX);
    let mut lines = text.lines().take(upto).enumerate();
    match lines.find(|(_, line)| line.contains("{{") && !line.trim_start().starts_with('#')) {
        Some((at, _)) => Fault { what: What::Template(at as u64 + 1), ..fault },
        None => fault,
    }
}

/// Moves a fault of a part of a text to its place in the text.
pub(crate) fn moved(mut fault: Fault, lines_before: u64) -> Fault {
    fault.place = Place { line: fault.place.line + lines_before, ..fault.place };
    if let What::Template(line) = &mut fault.what {
        *line += lines_before;
    }
    fault
}
