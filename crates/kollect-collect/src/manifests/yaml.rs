//! YAML, document by document.
//!
//! Separate from JSON because a YAML text is cut at its `---` lines first: no scalar can contain one, so no parser is
//! needed for it, and only one document is in memory at a time.

use super::error::TextError;
use super::read::{Each, Top};
use serde::de::DeserializeSeed as _;
use serde_json::Value;
use std::io::{self, BufRead};

/// One document of a YAML text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlDocument {
    /// 1-based, empty documents included.
    pub number: usize,
    /// Lines before the document.
    pub lines_before: u64,
    /// Its text.
    pub text: String,
}

impl YamlDocument {
    /// Whether there is nothing but comments in it.
    pub fn is_empty(&self) -> bool {
        self.text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line.starts_with('%') || line == "..."
        })
    }
}

/// The documents of a YAML text, one after the other.
#[derive(Debug)]
pub struct Documents<R> {
    reader: R,
    number: usize,
    line: u64,
    /// What followed the `---` on its line.
    rest: String,
    ended: bool,
}

impl<R: BufRead> Documents<R> {
    /// Reads from `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader, number: 0, line: 0, rest: String::new(), ended: false }
    }

    fn read(&mut self) -> io::Result<YamlDocument> {
        let lines_before = self.line.saturating_sub(u64::from(!self.rest.is_empty()));
        let mut text = std::mem::take(&mut self.rest);
        loop {
            let start = text.len();
            if self.reader.read_line(&mut text)? == 0 {
                self.ended = true;
                break;
            }
            self.line += 1;
            let line = &text[start..];
            if let Some(rest) = line.strip_prefix("---")
                && (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
            {
                let rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
                self.rest = if rest.starts_with('#') { String::new() } else { rest.to_owned() };
                text.truncate(start);
                break;
            }
        }
        self.number += 1;
        Ok(YamlDocument { number: self.number, lines_before, text })
    }
}

impl<R: BufRead> Iterator for Documents<R> {
    type Item = io::Result<YamlDocument>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let document = self.read();
        self.ended |= document.is_err();
        // What is before the first `---` counts only if something is there.
        if let Ok(document) = &document
            && document.number == 1
            && document.is_empty()
            && !self.ended
        {
            self.number = 0;
            return self.next();
        }
        Some(document)
    }
}

/// Reads the objects of all documents.
pub(super) fn yaml(text: impl BufRead, each: &mut Each<'_>) -> Result<(), TextError> {
    for document in Documents::new(text) {
        let document = document.map_err(TextError::Io)?;
        if document.is_empty() {
            continue;
        }
        let mut stopped = false;
        let options = serde_saphyr::options! { budget: None, with_snippet: false };
        let outcome = serde_saphyr::with_deserializer_from_str_with_options(&document.text, options, |reader| {
            Top::<Value>::new(each, &mut stopped).deserialize(reader)
        });
        if stopped {
            return Err(TextError::Stopped);
        }
        outcome.map_err(|error| syntax(&error, &document))?;
    }
    Ok(())
}

fn syntax(error: &serde_saphyr::Error, document: &YamlDocument) -> TextError {
    let line = document.lines_before + error.location().map_or(1, |location| location.line());
    let text = error.to_string();
    // The first line says what; what follows shows the text, which may hold secrets.
    TextError::Syntax { line, why: format!("not valid YAML ({})", text.lines().next().unwrap_or_default()) }
}

#[cfg(test)]
mod tests {
    use super::super::object::Peek;
    use super::*;

    fn split(text: &str) -> Vec<(usize, u64, String)> {
        let documents = Documents::new(text.as_bytes()).map(Result::unwrap);
        documents.map(|document| (document.number, document.lines_before, document.text)).collect()
    }

    #[test]
    fn documents_are_cut_at_their_markers() {
        let doc = |number, before, text: &str| (number, before, text.to_owned());
        assert_eq!(split("a: 1\n---\nb: 2\n"), [doc(1, 0, "a: 1\n"), doc(2, 2, "b: 2\n")]);
        assert_eq!(split("# note\n---\na: 1\n--- # next\nb: 2"), [doc(1, 2, "a: 1\n"), doc(2, 4, "b: 2")]);
        assert_eq!(split("--- {a: 1}\n---x: 1\n"), [doc(1, 0, "{a: 1}\n---x: 1\n")]);
        assert_eq!(split("a: |\n  ---\n  x\n"), [doc(1, 0, "a: |\n  ---\n  x\n")]);
        assert_eq!(split("a: 1\r\n---\r\nb: 2\r\n").len(), 2);
    }

    #[test]
    fn objects_of_every_document_are_read_with_the_types_of_kubectl() {
        let text = "kind: List\napiVersion: v1\nitems:\n- {kind: A, apiVersion: v1, metadata: {name: one}}\n\
                    ---\n---\n# nothing\n---\nkind: B\napiVersion: v1\nmetadata:\n  name: two\n\
                    data: {n: 5, t: \"5\", yes: true, f: 0.5, none: null}\n";
        let mut seen = Vec::new();
        yaml(text.as_bytes(), &mut |object| {
            seen.push(object.to_owned());
            true
        })
        .unwrap();
        let kinds: Vec<_> = seen.iter().map(|object| Peek::read(object).unwrap().kind.into_owned()).collect();
        assert_eq!(kinds, ["A", "B"]);
        let value: Value = serde_json::from_str(&seen[1]).unwrap();
        assert_eq!(value["data"], serde_json::json!({"n": 5, "t": "5", "yes": true, "f": 0.5, "none": null}));
    }

    #[test]
    fn broken_yaml_is_named_by_its_line_in_the_file() {
        let Err(TextError::Syntax { line, why }) = yaml(&b"a: 1\n---\nb: 2\nc: [hunter2\n"[..], &mut |_| true) else {
            panic!()
        };
        assert!((4..=5).contains(&line), "{line}");
        assert!(!why.contains("hunter2"), "{why}");
    }
}
