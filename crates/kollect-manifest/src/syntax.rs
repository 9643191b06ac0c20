//! Options of the YAML parser, and its errors as faults.

use crate::fault::{FaultKind, LineColumn, ManifestFault};
use crate::limits::MAX_DEPTH;
use granit_parser::{ErrorKind, Marker, Options, ScanError};

/// The parser options of every reader.
pub(crate) fn options() -> Options {
    let mut options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH + 1,
        block_nesting_limit: MAX_DEPTH + 1,
        block_scalar_eof_without_line_feed: true,
    };
    options.set_emit_comments(false);
    options
}

pub(crate) fn place_of(mark: Marker) -> LineColumn {
    LineColumn { line: mark.line() as u64, column: mark.col() as u64 + 1 }
}

/// The fault for an error of the parser.
pub(crate) fn fault(text: &str, error: &ScanError) -> ManifestFault {
    refine(text, ManifestFault::new(place_of(*error.marker()), what(error.kind())))
}

fn what(kind: &ErrorKind) -> FaultKind {
    match kind {
        ErrorKind::RecursionLimitExceeded => FaultKind::TooDeep,
        ErrorKind::UnknownAnchor => FaultKind::UnknownAlias,
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => FaultKind::Tab,
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => FaultKind::Unclosed("quote"),
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofImplicitFlowMapping => FaultKind::Unclosed("bracket"),
        ErrorKind::InvalidDocumentEnd
        | ErrorKind::ExpectedDocumentStart
        | ErrorKind::MissingDocumentEndBeforeDirective => FaultKind::AfterEnd,
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidLowSurrogateHexEscape
        | ErrorKind::InvalidLowSurrogate
        | ErrorKind::MissingLowSurrogate
        | ErrorKind::UnpairedLowSurrogate
        | ErrorKind::InvalidUnicodeEscape => FaultKind::BadEscape,
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => FaultKind::Control,
        _ => FaultKind::NotYaml,
    }
}

/// A template before the place is the most likely cause of a syntax fault.
pub(crate) fn refine(text: &str, fault: ManifestFault) -> ManifestFault {
    let unclear = matches!(
        fault.what,
        FaultKind::NotYaml
            | FaultKind::KeyIsNoText
            | FaultKind::Unclosed(_)
            | FaultKind::DuplicateKey(_)
            | FaultKind::AfterEnd
    );
    if !unclear {
        return fault;
    }
    let upto = usize::try_from(fault.place.line).unwrap_or(usize::MAX);
    let mut lines = text.lines().take(upto).enumerate();
    match lines.find(|(_, line)| line.contains("{{") && !line.trim_start().starts_with('#')) {
        Some((at, _)) => ManifestFault { what: FaultKind::Template(at as u64 + 1), ..fault },
        None => fault,
    }
}

/// Moves a fault of a part of a text to its place in the text.
pub(crate) fn moved(mut fault: ManifestFault, lines_before: u64) -> ManifestFault {
    fault.place = LineColumn { line: fault.place.line + lines_before, ..fault.place };
    if let FaultKind::Template(line) = &mut fault.what {
        *line += lines_before;
    }
    fault
}
