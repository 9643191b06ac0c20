//! Reads items back from files, for rows of parts that cannot be listed: the file is then their only source.
//!
//! Items are passed on one by one, and error messages never quote the file.

use crate::encode::Format;
use kollect_model::{Item, SCHEMA_VERSION};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A file that cannot be read as items.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl Format {
    /// The format of a path's extension.
    pub fn of_path(path: &str) -> Option<Self> {
        [Self::Json, Self::Yaml, Self::Ndjson].into_iter().find(|format| path.ends_with(format.extension()))
    }
}

/// Passes every item of a document, of a part of one, or of the file of a single row to `each`.
pub fn read_items(bytes: &[u8], format: Format, each: &mut dyn FnMut(Item)) -> Result<(), Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable("it is not UTF-8".to_owned()))?;
    match format {
        Format::Json => read_json(text, each),
        Format::Ndjson => read_lines(text, each),
        Format::Yaml => read_yaml(text, each),
    }
}

/// The head of a document, as far as reading needs it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema_version: String,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

fn read_json(text: &str, each: &mut dyn FnMut(Item)) -> Result<(), Unreadable> {
    let Ok(document) = serde_json::from_str::<Document<'_>>(text) else {
        // Not a document; perhaps the file of one row.
        each(item(text, "it is neither a document nor an item of Kollect")?);
        return Ok(());
    };
    if document.schema_version != SCHEMA_VERSION {
        return Err(Unreadable(format!("its schemaVersion is not {SCHEMA_VERSION}")));
    }
    for (at, raw) in document.items.into_iter().enumerate() {
        each(item(raw.get(), &format!("member {at} of its items is not an item of Kollect"))?);
    }
    Ok(())
}

fn read_lines(text: &str, each: &mut dyn FnMut(Item)) -> Result<(), Unreadable> {
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        each(item(line, &format!("line {} is not an item of Kollect", at + 1))?);
    }
    Ok(())
}

fn item(json: &str, otherwise: &str) -> Result<Item, Unreadable> {
    serde_json::from_str(json).map_err(|_| Unreadable(otherwise.to_owned()))
}

/// Members are parsed one by one: in block style a dash in the first column is the next one, so that a large document
/// is never held as a tree, nor as a whole within the parser's limits for hostile text.
fn read_yaml(text: &str, each: &mut dyn FnMut(Item)) -> Result<(), Unreadable> {
    let mut members: Vec<(usize, usize)> = Vec::new();
    let (mut at, mut before) = (0, "");
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line.starts_with("- ") {
            members.push((number + 1, at));
        } else if members.is_empty() && !line.trim().is_empty() {
            before = line;
        }
        at += line.len();
    }
    if members.is_empty() {
        return match text.trim() {
            "" | "[]" => Ok(()),
            _ => {
                each(yaml_item(parse::<Item<Value>>(text), 1)?);
                Ok(())
            }
        };
    }
    if !before.is_empty() {
        return Err(Unreadable("it does not begin with an item of Kollect".to_owned()));
    }
    let ends = members.iter().skip(1).map(|(_, start)| *start).chain([text.len()]);
    for ((line, start), end) in members.iter().zip(ends) {
        let member = parse::<[Item<Value>; 1]>(&text[*start..end]);
        each(yaml_item(member.map(|[item]| item), *line)?);
    }
    Ok(())
}

/// Within the limits of manifests: a deeper value is refused and not carried.
fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(kollect_manifest::parse(text).ok()?).ok()
}

fn yaml_item(item: Option<Item<Value>>, line: usize) -> Result<Item, Unreadable> {
    item.and_then(|item| item.into_canonical().ok())
        .ok_or_else(|| Unreadable(format!("what begins in line {line} is not an item of Kollect")))
}
