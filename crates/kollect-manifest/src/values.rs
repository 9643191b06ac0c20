//! Reads the values of the documents of a text in memory.

use crate::documents::Documents;
use crate::fault::{FaultKind, LineColumn, ManifestFault};
use crate::json;
use crate::limits::MAX_NODES;
use crate::objects::{ManifestFormat, json_in};
use crate::syntax::moved;
use crate::tree;
use serde_json::Value;

/// One document of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentValue {
    /// 1-based.
    pub number: usize,
    /// Its value, or why it cannot be read.
    pub value: Result<Value, ManifestFault>,
}

/// The one value of a YAML or JSON text; `null` for a text with nothing but comments.
pub fn parse(text: &str) -> Result<Value, ManifestFault> {
    if let Some(values) = json_in(text)
        && let [range] = values.as_slice()
    {
        return Ok(serde_json::from_str(&text[range.clone()]).unwrap_or_default());
    }
    tree::read(text).map(tree::YamlTree::into_value)
}

/// The values of all documents that are not empty. A document that cannot be read does not hide the others.
pub fn documents(text: &str, format: ManifestFormat) -> Vec<DocumentValue> {
    if matches!(format, ManifestFormat::Json | ManifestFormat::JsonLines) {
        return match json::values(text, MAX_NODES) {
            Ok(ranges) => numbered(text, ranges),
            Err((byte, what)) => {
                let fault = ManifestFault::new(LineColumn::default().advanced(text.as_bytes(), byte), what);
                vec![DocumentValue { number: 1, value: Err(fault) }]
            }
        };
    }
    if let Some(ranges) = json_in(text) {
        return numbered(text, ranges);
    }
    let mut all = Vec::new();
    for document in Documents::new(text.as_bytes()) {
        // Reading from memory does not fail.
        let Ok(document) = document else { break };
        let value = document.text.and_then(|text| parse(&text));
        if value != Ok(Value::Null) {
            let value = value.map_err(|fault| moved(fault, document.lines_before));
            all.push(DocumentValue { number: document.number, value });
        }
    }
    all
}

/// The byte ranges of the JSON values of a text. No limit on keys and values: a snapshot is larger than one object.
pub fn json_values(text: &str) -> Result<Vec<std::ops::Range<usize>>, ManifestFault> {
    json::values(text, usize::MAX)
        .map_err(|(byte, what)| ManifestFault::new(LineColumn::default().advanced(text.as_bytes(), byte), what))
}

fn numbered(text: &str, ranges: Vec<std::ops::Range<usize>>) -> Vec<DocumentValue> {
    let read = |range: std::ops::Range<usize>| match serde_json::from_str(&text[range.clone()]) {
        Ok(value) => Ok(value),
        Err(_) => {
            Err(ManifestFault::new(LineColumn::default().advanced(text.as_bytes(), range.start), FaultKind::NoValue))
        }
    };
    (1..).zip(ranges).map(|(number, range)| DocumentValue { number, value: read(range) }).collect()
}

/// The objects of a value: itself, or the items of a list, with the kind that the list implies.
pub fn objects(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let json = value.to_string();
    crate::list::emit(&json, LineColumn::default(), &mut |object, _| {
        all.extend(serde_json::from_str::<Value>(object));
        true
    });
    all
}
