//! Splits response bodies into single objects while the bytes arrive, without parsing the objects.
//!
//! It bounds memory: of a page of 500 objects only the one in progress is held.

use serde::Deserialize;

/// The largest object or event that is accepted. etcd refuses objects beyond 1.5 MiB by default; aggregated API servers may
/// allow more.
pub(crate) const MAX_OBJECT_BYTES: usize = 32 << 20;

/// Why a body could not be split.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum SplitError {
    #[error("an object is larger than {} MiB", MAX_OBJECT_BYTES >> 20)]
    TooLarge,
    #[error("the answer is not valid UTF-8")]
    NotText,
    #[error("the answer is not a Kubernetes list: {0}")]
    NotAList(String),
    #[error("the answer ended in the middle of an object")]
    Truncated,
}

/// Buffer that an idle watch keeps.
const KEPT_BYTES: usize = 16 << 10;

/// Splits a watch stream into lines.
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to here there is no line feed.
    scanned: usize,
}

impl LineSplitter {
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(chunk);
    }

    /// Shrinks the buffer after the initial list: a watch is idle most of the time.
    fn shrink_after_burst(&mut self, pending: usize) {
        if pending <= KEPT_BYTES && self.buffer.capacity() > 4 * KEPT_BYTES {
            self.buffer = self.buffer[self.start..].to_vec();
            self.scanned -= self.start;
            self.start = 0;
        }
    }

    /// The next complete line without its line feed; `None`: more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<String>, SplitError> {
        let Some(at) = self.buffer[self.scanned..].iter().position(|b| *b == b'\n') else {
            self.scanned = self.buffer.len();
            let pending = self.buffer.len() - self.start;
            self.shrink_after_burst(pending);
            return if pending > MAX_OBJECT_BYTES { Err(SplitError::TooLarge) } else { Ok(None) };
        };
        let line = self.buffer[self.start..self.scanned + at].to_vec();
        self.scanned += at + 1;
        self.start = self.scanned;
        String::from_utf8(line).map(Some).map_err(|_| SplitError::NotText)
    }
}

/// The list's own metadata.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ListMeta {
    pub(crate) resource_version: String,
    #[serde(rename = "continue")]
    pub(crate) next: Option<String>,
}

#[derive(Deserialize)]
struct ListEnvelope {
    #[serde(default)]
    metadata: ListMeta,
}

/// Whether the next byte belongs to a string.
#[derive(Debug, Default, PartialEq)]
enum StringState {
    #[default]
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

/// Position relative to the list of items.
#[derive(Debug, Default, PartialEq)]
enum ListState {
    #[default]
    Elsewhere,
    /// The last string was `items`.
    Named,
    /// It was a key, so its value follows.
    Follows,
    Inside,
}

/// Splits a list response into its items.
#[derive(Debug, Default)]
pub(crate) struct ListItemSplitter {
    buffer: Vec<u8>,
    /// Next byte to read.
    at: usize,
    /// Where the item that is being read began.
    start: Option<usize>,
    depth: u32,
    text: StringState,
    /// Where the last string began, to recognise the key `items`.
    string_start: usize,
    list: ListState,
    /// The response without its items.
    envelope: Vec<u8>,
}

impl ListItemSplitter {
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        // A string at depth 1 that is split by chunks must stay in the buffer until it is complete.
        let keep_from = match self.start {
            Some(start) => start,
            None if self.text != StringState::Outside => self.string_start.min(self.at),
            None => self.at,
        };
        self.buffer.drain(..keep_from);
        self.at -= keep_from;
        self.start = self.start.map(|start| start - keep_from);
        self.string_start = self.string_start.saturating_sub(keep_from);
        self.buffer.extend_from_slice(chunk);
    }

    /// The next complete item; `None`: more bytes are needed, or the list is over.
    pub(crate) fn next(&mut self) -> Result<Option<String>, SplitError> {
        while let Some(&byte) = self.buffer.get(self.at) {
            self.at += 1;
            if self.list != ListState::Inside {
                self.envelope.push(byte);
            }
            if self.text != StringState::Outside {
                self.string_byte(byte);
                continue;
            }
            match byte {
                b'"' => {
                    self.text = StringState::Inside;
                    self.string_start = self.at;
                }
                b':' if self.depth == 1 && self.list == ListState::Named => self.list = ListState::Follows,
                b',' if self.depth == 1 => self.list = ListState::Elsewhere,
                b'{' | b'[' => self.open(byte),
                b'}' | b']' => {
                    if let Some(range) = self.close(byte)? {
                        let item = self.buffer[range].to_vec();
                        return String::from_utf8(item).map(Some).map_err(|_| SplitError::NotText);
                    }
                }
                _ => {}
            }
        }
        let pending = self.start.map_or(self.envelope.len(), |start| self.buffer.len() - start);
        if pending > MAX_OBJECT_BYTES { Err(SplitError::TooLarge) } else { Ok(None) }
    }

    fn string_byte(&mut self, byte: u8) {
        match (&self.text, byte) {
            (StringState::Escaped, _) => self.text = StringState::Inside,
            (_, b'\\') => self.text = StringState::Escaped,
            (_, b'"') => {
                self.text = StringState::Outside;
                if self.depth == 1 && self.list == ListState::Elsewhere {
                    let items = self.buffer.get(self.string_start..self.at - 1) == Some(b"items");
                    self.list = if items { ListState::Named } else { ListState::Elsewhere };
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, byte: u8) {
        if byte == b'[' && self.depth == 1 && self.list == ListState::Follows {
            self.list = ListState::Inside;
        } else if self.list == ListState::Inside && self.depth == 2 {
            self.start = Some(self.at - 1);
        }
        self.depth += 1;
    }

    fn close(&mut self, byte: u8) -> Result<Option<std::ops::Range<usize>>, SplitError> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| SplitError::NotAList("unbalanced brackets".into()))?;
        if self.list == ListState::Inside && self.depth == 1 {
            self.list = ListState::Elsewhere;
            self.envelope.push(byte);
        }
        if self.list == ListState::Inside && self.depth == 2 {
            return Ok(self.start.take().map(|start| start..self.at));
        }
        Ok(None)
    }

    /// The list's metadata, after the last byte.
    pub(crate) fn finish(self) -> Result<ListMeta, SplitError> {
        if self.depth != 0 || self.text != StringState::Outside || self.envelope.is_empty() {
            return Err(SplitError::Truncated);
        }
        let envelope: Result<ListEnvelope, _> = serde_json::from_slice(&self.envelope);
        // Only the position: the error text could quote the response.
        envelope
            .map(|envelope| envelope.metadata)
            .map_err(|e| SplitError::NotAList(format!("line {} column {}", e.line(), e.column())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, chunk: usize) -> Result<(Vec<String>, ListMeta), SplitError> {
        let mut items = ListItemSplitter::default();
        let mut found = Vec::new();
        for part in text.as_bytes().chunks(chunk) {
            items.push(part);
            while let Some(item) = items.next()? {
                found.push(item);
            }
        }
        items.finish().map(|meta| (found, meta))
    }

    #[test]
    fn a_list_is_cut_into_items_wherever_the_chunks_end() {
        let lists = [
            r#"{"kind":"items","metadata":{"resourceVersion":"7","continue":"x"},"items":[{"a":"}]\"{"},{"items":[{"b":[1]}]}]}"#,
            r#"{"apiVersion":"v1", "items" : [ {"a":"}]\"{"} , {"items":[{"b":[1]}]} ] , "kind":"List","metadata":{"continue":"x","resourceVersion":"7"}}"#,
        ];
        for list in lists {
            for chunk in 1..=list.len() {
                let (items, meta) = split(list, chunk).unwrap();
                assert_eq!(items, [r#"{"a":"}]\"{"}"#, r#"{"items":[{"b":[1]}]}"#], "chunk {chunk}");
                assert_eq!(meta, ListMeta { resource_version: "7".into(), next: Some("x".into()) });
            }
        }
    }

    #[test]
    fn an_empty_or_null_list_has_no_items() {
        for list in [
            r#"{"metadata":{"resourceVersion":"1"},"items":[]}"#,
            r#"{"items":null,"metadata":{"resourceVersion":"1"}}"#,
        ] {
            let (items, meta) = split(list, 3).unwrap();
            assert!(items.is_empty());
            assert_eq!((meta.resource_version.as_str(), meta.next), ("1", None));
        }
    }

    #[test]
    fn a_list_that_ends_early_is_an_error_and_not_a_short_list() {
        let list = r#"{"metadata":{"resourceVersion":"1"},"items":[{"a":1},{"a":2}]}"#;
        for end in 0..list.len() {
            assert_eq!(split(&list[..end], 5).unwrap_err(), SplitError::Truncated, "{end}");
        }
    }

    #[test]
    fn lines_come_out_whole_wherever_the_chunks_end() {
        for chunk in 1..12 {
            let mut lines = LineSplitter::default();
            let mut found = Vec::new();
            for part in "one\ntwo\n\nthree\nrest".as_bytes().chunks(chunk) {
                lines.push(part);
                while let Some(line) = lines.next().unwrap() {
                    found.push(line);
                }
            }
            assert_eq!(found, ["one", "two", "", "three"]);
        }
    }
}
