//! Maps a field of a manifest to its place: from `spec.attributes[3].path` to line, column and an excerpt.
//!
//! It parses YAML and JSON texts, and depends on no kind, rule or cluster. It must not change or check what it reads.

mod locate;
mod parse;
mod report;

pub use report::{FindingReport, Severity};

use kollect_manifest::located::{LocatedContent, LocatedEntry, LocatedNode, QuoteStyle};
use serde_json::Value;
use std::ops::Range;

/// A text and its documents, with the place of each field.
#[derive(Debug)]
pub struct SourceText {
    /// File name as the user gave it, `<stdin>` for standard input.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// The documents that could be read, in order.
    pub documents: Vec<SourceDocument>,
    /// What could not be read.
    pub errors: Vec<SyntaxError>,
}

/// One document of a text.
#[derive(Debug)]
pub struct SourceDocument {
    /// Counted from 1, empty documents included.
    pub number: usize,
    /// Its content.
    pub value: Value,
    root: LocatedNode,
}

/// A place where the text is not YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Number of the document, counted from 1.
    pub document: usize,
    /// Bytes of the text.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
}

/// Line and column, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl SourceText {
    /// The position of a byte of the text.
    pub fn position(&self, byte: usize) -> Position {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Position {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a comment
kind: One
spec:
  attributes:
  - name: a
    path: $.x
  - {name: b, path: \"cel:a\\tb\"}
  - name: 'it''s'
    path: |
      cel:
        x
  matchLabels:
    app.kubernetes.io/name: web
    app: x
  empty:
---
kind: Two
é: ü
";

    fn shown(source: &SourceText, span: std::ops::Range<usize>) -> (usize, usize, &str) {
        let place = source.position(span.start);
        (place.line, place.column, &source.text[span])
    }

    #[test]
    fn every_way_to_write_a_value_is_found_with_line_and_column() {
        let source = SourceText::parse("x.yaml", TEXT);
        assert_eq!(source.errors, []);
        let one = &source.documents[0];
        for (field, wanted) in [
            ("kind", (2, 7, "One")),
            ("spec", (3, 1, "spec")),
            ("spec.attributes", (4, 3, "attributes")),
            ("spec.attributes[0].path", (6, 11, "$.x")),
            ("spec.attributes[1]", (7, 6, "name")),
            ("spec.attributes[1].path", (7, 21, "\"cel:a\\tb\"")),
            ("spec.attributes[2].name", (8, 11, "'it''s'")),
            ("spec.matchLabels.app.kubernetes.io/name", (13, 29, "web")),
            ("spec.matchLabels[app.kubernetes.io/name]", (13, 29, "web")),
            ("spec.matchLabels[\"app\"]", (14, 10, "x")),
            ("spec.empty", (15, 3, "empty")),
            // What is missing is shown by what should hold it.
            ("spec.attributes[0].optional", (5, 5, "name")),
            ("spec.attributes[9].name", (4, 3, "attributes")),
            ("metadata.name", (2, 1, "kind")),
        ] {
            assert_eq!(shown(&source, one.value_span(&source, field)), wanted, "{field}");
        }
        // The text of a block begins in the line after its mark.
        assert_eq!(shown(&source, one.value_span(&source, "spec.attributes[2].path")).0, 10);
        let two = &source.documents[1];
        assert_eq!((two.number, two.value["é"].as_str()), (2, Some("ü")));
        assert_eq!(shown(&source, two.value_span(&source, "é")), (18, 4, "ü"));
        assert_eq!(shown(&source, two.key_span(&source, "kind")), (17, 1, "kind"));
        assert!(one.has("spec.attributes[1].path") && !one.has("spec.attributes[1].nothing"));
    }

    #[test]
    fn a_byte_inside_a_value_is_found_behind_quotes_and_escapes() {
        let source = SourceText::parse("x.yaml", TEXT);
        let one = &source.documents[0];
        let column = |field, offset| one.inside(&source, field, offset).map(|at| source.position(at).column);
        assert_eq!(column("spec.attributes[0].path", 2), Some(13));
        // cel:a⇥b: the b is the seventh byte, and the eighth between the quotes.
        assert_eq!(column("spec.attributes[1].path", 6), Some(29));
        assert_eq!(column("spec.attributes[1].path", 99), Some(30));
        assert_eq!(column("spec.attributes[2].name", 3), Some(16));
        assert_eq!(column("spec.attributes[2].path", 3), None);
    }

    #[test]
    fn json_is_read_as_well() {
        let source =
            SourceText::parse("x.json", "{\n\t\"kind\": \"One\",\n\t\"list\": [1, {\"a\": \"b\\u00e9c\"}]\n}\n");
        assert_eq!(source.errors, []);
        let one = &source.documents[0];
        assert_eq!(one.value["list"][1]["a"], "béc");
        assert_eq!(shown(&source, one.value_span(&source, "list[1].a")), (3, 20, "\"b\\u00e9c\""));
        assert_eq!(one.inside(&source, "list[1].a", 3).map(|at| source.position(at).column), Some(28));
    }

    #[test]
    fn a_broken_document_is_located_and_hides_no_other() {
        let text = "a: 1\n---\nb: [1, 2\nc: 3\n---\nd: 4\n---\ne: 1\ne: 2\n---\nf: 6\n";
        let source = SourceText::parse("x.yaml", text);
        let numbers: Vec<_> = source.documents.iter().map(|document| document.number).collect();
        assert_eq!(numbers, [1, 3, 5]);
        assert_eq!(source.documents[2].value["f"], 6);
        let last = &source.documents[2];
        assert_eq!(shown(&source, last.value_span(&source, "f")), (11, 4, "6"));
        let lines: Vec<_> = source.errors.iter().map(|error| source.position(error.span.start).line).collect();
        assert_eq!(lines.len(), 2, "{:?}", source.errors);
        assert!((3..=5).contains(&lines[0]) && lines[1] == 9, "{:?}", source.errors);
        assert!(source.errors[1].message.contains("is repeated"), "{:?}", source.errors);
    }

    #[test]
    fn a_report_marks_the_value_under_its_line() {
        let source = SourceText::parse("x.yaml", TEXT);
        let span = source.documents[0].value_span(&source, "spec.attributes[0].path");
        let report = FindingReport { severity: Severity::Error, rule: "P4", title: "no", note: "", help: "do so" };
        let text = report.render(&source, span, false);
        let wanted = "error[P4]: no\n --> x.yaml:6:11\n  |\n6 |     path: $.x\n  |           ^^^\n  |\n  = help: do so";
        assert_eq!(text, wanted);
        assert!(report.render_alone(true).contains("\u{1b}["));
    }
}
