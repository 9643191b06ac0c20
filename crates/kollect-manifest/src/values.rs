//! A text that is in memory to the values of its documents, for files that people write by hand.

use crate::documents::Documents;
use crate::fault::{Fault, Place, What};
use crate::json;
use crate::limits::MAX_NODES;
use crate::objects::{Format, json_in};
use crate::syntax::moved;
use crate::tree;
use serde_json::Value;

/// One document of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentValue {
    /// 1-based.
    pub number: usize,
    /// What it says, or why it cannot be read.
    pub value: Result<Value, Fault>,
}

/// The one value of a YAML or JSON text; `null` for a text with nothing but comments.
pub fn parse(text: &str) -> Result<Value, Fault> {
    if let Some(values) = json_in(text)
        && let [range] = values.as_slice()
    {
        return Ok(serde_json::from_str(&text[range.clone()]).unwrap_or_default());
    }
    tree::read(text).map(tree::Tree::into_value)
}

/// The values of all documents that say anything. A document that cannot be read does not hide the others.
pub fn documents(text: &str, format: Format) -> Vec<DocumentValue> {
    if matches!(format, Format::Json | Format::JsonLines) {
        return match json::values(text, MAX_NODES) {
            Ok(ranges) => numbered(text, ranges),
            Err((byte, what)) => {
                let fault = Fault::new(Place::default().advanced(text.as_bytes(), byte), what);
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

/// The bytes of the values of a text in JSON, one after the other. It may be as long as memory allows: what a snapshot
/// holds is not one object.
pub fn json_values(text: &str) -> Result<Vec<std::ops::Range<usize>>, Fault> {
    json::values(text, usize::MAX)
        .map_err(|(byte, what)| Fault::new(Place::default().advanced(text.as_bytes(), byte), what))
}

fn numbered(text: &str, ranges: Vec<std::ops::Range<usize>>) -> Vec<DocumentValue> {
    let read = |range: std::ops::Range<usize>| match serde_json::from_str(&text[range.clone()]) {
        Ok(value) => Ok(value),
        Err(_) => Err(Fault::new(Place::default().advanced(text.as_bytes(), range.start), What::NoValue)),
    };
    (1..).zip(ranges).map(|(number, range)| DocumentValue { number, value: read(range) }).collect()
}

/// The objects of a value: those of a list one by one, with the kind that the list gives them.
pub fn objects(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let json = value.to_string();
    crate::list::hand_out(&json, Place::default(), &mut |object, _| {
        all.extend(serde_json::from_str::<Value>(object));
        true
    });
    all
}
