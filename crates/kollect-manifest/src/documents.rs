//! Splits a YAML text into documents: they end before a line `---` and with a line `...`.
//!
//! No scalar can contain such a line, so no parser is needed, and only one document is in memory at a time.

use crate::encoding::utf8;
use crate::fault::{FaultKind, LineColumn, ManifestFault};
use crate::limits::{MAX_DOCUMENT_BYTES, MAX_DOCUMENTS};
use std::io::{self, BufRead, Read as _};

/// One document of a YAML text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlDocument {
    /// 1-based; documents with nothing but comments are counted where a line `---` begins them.
    pub number: usize,
    /// Lines before the document.
    pub lines_before: u64,
    /// Its text with its directives and its line `---`; or why it has none.
    pub text: Result<String, ManifestFault>,
}

/// Iterates over the documents of a YAML text that are not empty.
#[derive(Debug)]
pub struct Documents<R> {
    reader: R,
    number: usize,
    /// Lines that were read.
    line: u64,
    /// A line `---` that ended the last document and begins the next.
    marker: Vec<u8>,
    ended: bool,
}

/// The kind of a line, for splitting documents.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LineKind {
    Blank,
    Directive,
    Begin,
    End,
    Content,
}

impl LineKind {
    fn of(line: &[u8]) -> Self {
        let marks = |mark: &[u8]| {
            let rest = line.strip_prefix(mark);
            rest.is_some_and(|rest| rest.first().is_none_or(|next| matches!(next, b' ' | b'\t' | b'\r' | b'\n')))
        };
        if marks(b"---") {
            Self::Begin
        } else if marks(b"...") {
            Self::End
        } else if line.starts_with(b"%") {
            Self::Directive
        } else if is_blank(line) {
            Self::Blank
        } else {
            Self::Content
        }
    }
}

/// White space and comments only.
fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii_start().first().is_none_or(|first| *first == b'#')
}

impl<R: BufRead> Documents<R> {
    /// Reads from `reader`, which gives UTF-8 without a byte order mark.
    pub fn new(reader: R) -> Self {
        Self { reader, number: 0, line: 0, marker: Vec::new(), ended: false }
    }

    /// The next document, also an empty one; `None` when only blank lines are left.
    fn read(&mut self) -> io::Result<Option<(YamlDocument, bool)>> {
        let mut text = std::mem::take(&mut self.marker);
        let mut begun = !text.is_empty();
        let mut lines_before = self.line - u64::from(begun);
        let mut has_content = begun && !is_blank(&text[3..]);
        let (mut too_large, mut has_directive) = (false, false);
        loop {
            let start = text.len();
            let room = MAX_DOCUMENT_BYTES.saturating_sub(start) as u64 + 1;
            let read = (&mut self.reader).take(room).read_until(b'\n', &mut text)?;
            if read == 0 {
                self.ended = true;
                break;
            }
            if read as u64 == room {
                too_large = true;
                // The rest of the document is read, so that the next one is found, and dropped.
                text.truncate(start);
                if !ends_line(&mut self.reader)? {
                    self.ended = true;
                }
                self.line += 1;
                has_content = true;
                continue;
            }
            self.line += 1;
            match LineKind::of(&text[start..]) {
                LineKind::Begin if begun || has_content => {
                    self.marker = text.split_off(start);
                    break;
                }
                LineKind::Begin => {
                    begun = true;
                    has_content = !is_blank(&text[start + 3..]);
                    if !has_directive {
                        // Comments before a document are not part of it: their bytes are not checked.
                        text.drain(..start);
                        lines_before = self.line - 1;
                    }
                }
                LineKind::End => break,
                LineKind::Directive if !begun && !has_content => has_directive = true,
                LineKind::Blank => {}
                LineKind::Directive | LineKind::Content => has_content = true,
            }
        }
        if !begun && !has_content && !has_directive {
            return Ok(None);
        }
        self.number += 1;
        let text = if too_large {
            Err(ManifestFault::new(LineColumn::default(), FaultKind::DocumentTooLarge))
        } else {
            utf8(&text, LineColumn::default()).map(str::to_owned)
        };
        Ok(Some((YamlDocument { number: self.number, lines_before, text }, has_content)))
    }
}

/// Skips the rest of a line; `false` at the end of the text.
fn ends_line(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let (used, found) = {
            let buffer = reader.fill_buf()?;
            match memchr::memchr(b'\n', buffer) {
                _ if buffer.is_empty() => return Ok(false),
                Some(at) => (at + 1, true),
                None => (buffer.len(), false),
            }
        };
        reader.consume(used);
        if found {
            return Ok(true);
        }
    }
}

impl<R: BufRead> Iterator for Documents<R> {
    type Item = io::Result<YamlDocument>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended || !self.marker.is_empty() {
            match self.read() {
                Ok(Some((document, true))) if self.number <= MAX_DOCUMENTS => return Some(Ok(document)),
                Ok(Some((document, _))) if self.number > MAX_DOCUMENTS => {
                    self.ended = true;
                    self.marker.clear();
                    let fault = ManifestFault::new(LineColumn::default(), FaultKind::TooManyDocuments);
                    return Some(Ok(YamlDocument { text: Err(fault), ..document }));
                }
                Ok(_) => {}
                Err(error) => {
                    self.ended = true;
                    self.marker.clear();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<(usize, u64, String)> {
        let documents = Documents::new(text.as_bytes()).map(Result::unwrap);
        documents.map(|document| (document.number, document.lines_before, document.text.unwrap())).collect()
    }

    #[test]
    fn documents_are_cut_at_their_markers() {
        let doc = |number, before, text: &str| (number, before, text.to_owned());
        assert_eq!(split("a: 1\n---\nb: 2\n"), [doc(1, 0, "a: 1\n"), doc(2, 1, "---\nb: 2\n")]);
        assert_eq!(
            split("# note\n---\na: 1\n--- # next\nb: 2"),
            [doc(1, 1, "---\na: 1\n"), doc(2, 3, "--- # next\nb: 2")]
        );
        assert_eq!(split("--- {a: 1}\n---x: 1\n"), [doc(1, 0, "--- {a: 1}\n---x: 1\n")]);
        assert_eq!(split("a: |\n  ---\n  x\n"), [doc(1, 0, "a: |\n  ---\n  x\n")]);
        assert_eq!(split("a: 1\r\n---\r\nb: 2\r\n").len(), 2);
        assert_eq!(split("a: 1\n...\nb: 2\n...\n"), [doc(1, 0, "a: 1\n...\n"), doc(2, 2, "b: 2\n...\n")]);
        assert_eq!(split("%YAML 1.1\n---\na: 1\n"), [doc(1, 0, "%YAML 1.1\n---\na: 1\n")]);
        assert_eq!(split("a: 1\n...\n%TAG ! x\n--- b\n").last().unwrap().2, "%TAG ! x\n--- b\n");
        assert_eq!(split("a: 1\n---\n# nothing\n---\nb: 2\n").last().unwrap().0, 3);
        assert!(split("").is_empty() && split("# only\n\n").is_empty() && split("---\n---\n").is_empty());
    }

    #[test]
    fn bytes_that_are_no_text_spoil_their_own_document_only() {
        let documents: Vec<_> = Documents::new(&b"a: 1\n---\nb: \xff\n---\nc: 3\n"[..]).map(Result::unwrap).collect();
        let fault = documents[1].text.as_ref().unwrap_err();
        assert_eq!((documents.len(), documents[1].lines_before, fault.place.line), (3, 1, 2));
        assert_eq!(documents[2].text.as_deref().unwrap(), "---\nc: 3\n");
    }

    #[test]
    fn a_comment_before_a_document_spoils_nothing() {
        let text = b"a: 1\n...\n# \xff\x7f\n---\nb: 2\n";
        let documents: Vec<_> = Documents::new(&text[..]).map(|document| document.unwrap().text).collect();
        assert_eq!(documents, [Ok("a: 1\n...\n".to_owned()), Ok("---\nb: 2\n".to_owned())]);
    }

    #[test]
    fn twenty_thousand_empty_documents_are_no_documents() {
        assert!(split(&"---\n".repeat(20_000)).is_empty());
        assert_eq!(split(&format!("{}a: 1\n", "---\n".repeat(20_000))).len(), 1);
    }
}
