//! Reads manifests line by line, the subset of YAML that is generated; slow, plain, and of no code of the product.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What a folder of manifests holds.
#[derive(Debug, Default, PartialEq)]
pub struct Expected {
    /// The last object of each kind, namespace and name.
    pub objects: BTreeMap<(String, String, String), Value>,
    /// Objects of which name or labels cannot be read.
    pub failed: usize,
    /// The names of those that have one.
    pub failed_names: BTreeSet<String>,
    /// Objects that came again.
    pub repeated: usize,
    /// Things without kind or apiVersion.
    pub strange: usize,
    /// Files and documents that cannot be read.
    pub broken: usize,
}

/// Reads all files in the order of their names. Objects without a namespace live in `default`.
pub fn expect(files: &BTreeMap<String, Vec<u8>>) -> Expected {
    let mut all = Expected::default();
    for (name, bytes) in files {
        let text = decode(bytes).replace("\r\n", "\n");
        let json = [".json", ".jsonl", ".ndjson"].iter().any(|end| name.ends_with(end));
        if json {
            all.json(&text);
        } else {
            for document in documents(&text) {
                all.document(&document);
            }
        }
    }
    all
}

impl Expected {
    fn json(&mut self, text: &str) {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        for value in &mut values {
            match value {
                Ok(value) => self.value(value),
                Err(_) => return self.broken += 1,
            }
        }
    }

    fn document(&mut self, lines: &[&str]) {
        // What is broken on purpose is marked in a comment, so that this reader need not find every fault.
        if lines.contains(&"# broken") {
            self.broken += 1;
            return;
        }
        let mut reader = Reader { lines, at: 0, anchors: BTreeMap::new() };
        if reader.current().is_some() {
            let value = reader.block(0);
            assert!(reader.current().is_none(), "unread: {:?}", reader.current());
            self.value(value);
        }
    }

    fn value(&mut self, value: Value) {
        let kind = value["kind"].as_str().unwrap_or_default().to_owned();
        if let Value::Array(items) = value {
            for item in items {
                self.value(item);
            }
        } else if kind.ends_with("List") && value["metadata"]["name"].is_null() && value.get("items").is_some() {
            for item in value["items"].as_array().into_iter().flatten() {
                let mut item = item.clone();
                if kind != "List" {
                    let Some(fields) = item.as_object_mut() else { continue };
                    fields.entry("kind").or_insert_with(|| kind.trim_end_matches("List").into());
                    fields.entry("apiVersion").or_insert_with(|| value["apiVersion"].clone());
                }
                self.value(item);
            }
        } else if !value.is_null() {
            self.object(value);
        }
    }

    fn object(&mut self, object: Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, meta) = (text(&object["kind"]), &object["metadata"]);
        if kind.is_empty() || text(&object["apiVersion"]).is_empty() {
            self.strange += 1;
            return;
        }
        let is_text = |value: &Value| value.is_string() || value.is_null();
        let labels = match &meta["labels"] {
            Value::Object(labels) => labels.values().all(is_text),
            other => other.is_null(),
        };
        if !labels || meta["name"].as_str().is_none_or(str::is_empty) || !is_text(&meta["namespace"]) {
            self.failed += 1;
            self.failed_names.extend(meta["name"].as_str().map(str::to_owned));
            return;
        }
        let namespace = text(&meta["namespace"]);
        let key = (kind, if namespace.is_empty() { "default".to_owned() } else { namespace }, text(&meta["name"]));
        self.repeated += usize::from(self.objects.insert(key, object).is_some());
    }
}

fn decode(bytes: &[u8]) -> String {
    let units = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units).unwrap_or_default()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn documents(text: &str) -> Vec<Vec<&str>> {
    let mut all = vec![Vec::new()];
    for line in text.lines() {
        if line == "---" || line == "..." || line.starts_with("%YAML") {
            all.push(Vec::new());
        } else if let Some(last) = all.last_mut() {
            last.push(line);
        }
    }
    all
}

struct Reader<'a> {
    lines: &'a [&'a str],
    at: usize,
    anchors: BTreeMap<String, Value>,
}

impl<'a> Reader<'a> {
    /// Indentation and text of the next line with content.
    fn current(&mut self) -> Option<(usize, &'a str)> {
        loop {
            let line = *self.lines.get(self.at)?;
            let text = line.trim_start();
            if !text.is_empty() && !text.starts_with('#') {
                return Some((line.len() - text.len(), text));
            }
            self.at += 1;
        }
    }

    /// The map, list or scalar that begins at this indentation; a member of a list may begin behind its dash.
    fn block(&mut self, indent: usize) -> Value {
        match self.current() {
            Some((at, text)) if at == indent && is_dash(text) => self.list(indent),
            Some((at, text)) if at == indent => {
                if let Some((key, rest)) = key_of(text) {
                    return self.map(indent, key, rest);
                }
                self.at += 1;
                self.inline(text)
            }
            _ => Value::Null,
        }
    }

    fn list(&mut self, indent: usize) -> Value {
        let mut items = Vec::new();
        while let Some((at, text)) = self.current()
            && at == indent
            && is_dash(text)
        {
            let rest = text[1..].trim_start();
            let inner = indent + text.len() - rest.len();
            items.push(if let Some((key, value)) = key_of(rest) {
                self.map(inner, key, value)
            } else {
                self.at += 1;
                let below = self.current().is_some_and(|(at, _)| at > indent);
                if rest.is_empty() && !below { Value::Null } else { self.value(rest, indent) }
            });
        }
        Value::Array(items)
    }

    /// A map whose first key was found in the present line already.
    fn map(&mut self, indent: usize, key: String, rest: &str) -> Value {
        let mut map = Map::new();
        let mut merged = Vec::new();
        let mut next = Some((key, rest.to_owned()));
        while let Some((key, rest)) = next {
            self.at += 1;
            let value = self.value(&rest, indent);
            if key == "<<" {
                merged.push(value);
            } else {
                assert!(map.insert(key, value).is_none(), "twice");
            }
            next = match self.current() {
                Some((at, text)) if at == indent && !is_dash(text) => {
                    key_of(text).map(|(key, rest)| (key, rest.to_owned()))
                }
                _ => None,
            };
        }
        for one in merged {
            for (key, value) in one.as_object().cloned().unwrap_or_default() {
                map.entry(key).or_insert(value);
            }
        }
        Value::Object(map)
    }

    /// What follows a key or a dash: in the line, or in the lines below.
    fn value(&mut self, rest: &str, indent: usize) -> Value {
        if let Some(named) = rest.strip_prefix('&') {
            let (name, rest) = named.split_once(' ').unwrap_or((named, ""));
            let value = self.value(rest, indent);
            self.anchors.insert(name.to_owned(), value.clone());
            return value;
        }
        if matches!(rest, "|" | "|-") {
            return self.literal(indent, rest == "|-");
        }
        if !rest.is_empty() {
            return self.inline(rest);
        }
        match self.current() {
            Some((at, _)) if at > indent => self.block(at),
            Some((at, text)) if at == indent && is_dash(text) => self.list(indent),
            _ => Value::Null,
        }
    }

    fn literal(&mut self, indent: usize, strip: bool) -> Value {
        let mut text = String::new();
        let mut inner = None;
        while let Some(line) = self.lines.get(self.at) {
            let at = line.len() - line.trim_start().len();
            if !line.trim().is_empty() && at <= indent {
                break;
            }
            let inner = *inner.get_or_insert(at);
            text.push_str(line.get(inner..).unwrap_or_default());
            text.push('\n');
            self.at += 1;
        }
        let text = text.trim_end_matches('\n');
        if strip { text.into() } else { format!("{text}\n").into() }
    }

    fn inline(&self, text: &str) -> Value {
        if let Some(name) = text.strip_prefix('*') {
            return self.anchors[name].clone();
        }
        let mut flow = Flow { text, at: 0 };
        let value = flow.value("");
        let rest = text[flow.at..].trim_start();
        assert!(rest.is_empty() || rest.starts_with('#'), "unread: {rest:?}");
        value
    }
}

fn is_dash(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// The key that a line begins with, and the rest.
fn key_of(text: &str) -> Option<(String, &str)> {
    if text.starts_with(['{', '[', '|']) {
        return None;
    }
    let mut flow = Flow { text, at: 0 };
    let key = if text.starts_with(['"', '\'']) {
        flow.quoted()
    } else {
        flow.at = text.find(": ").or_else(|| text.strip_suffix(':').map(str::len))?;
        plain_key(&text[..flow.at])
    };
    let rest = text[flow.at..].strip_prefix(':')?;
    Some((key, rest.trim_start()))
}

/// Keys are texts in JSON.
fn plain_key(text: &str) -> String {
    match scalar(text) {
        value @ (Value::Bool(_) | Value::Number(_)) => value.to_string(),
        _ => text.to_owned(),
    }
}

/// Scalars, and maps and lists in brackets.
struct Flow<'a> {
    text: &'a str,
    at: usize,
}

impl Flow<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn takes(&mut self, mark: &str) -> bool {
        self.blanks();
        let found = self.rest().starts_with(mark);
        self.at += if found { mark.len() } else { 0 };
        found
    }

    /// A value that ends before one of `ends`, or with the line.
    fn value(&mut self, ends: &str) -> Value {
        self.blanks();
        if self.takes("{") {
            let mut map = Map::new();
            while !self.takes("}") {
                self.blanks();
                let key =
                    if self.rest().starts_with(['"', '\'']) { self.quoted() } else { plain_key(&self.plain(":,}")) };
                assert!(self.takes(":"), "no colon: {:?}", self.rest());
                map.insert(key, self.value(",}"));
                self.takes(",");
            }
            return Value::Object(map);
        }
        if self.takes("[") {
            let mut items = Vec::new();
            while !self.takes("]") {
                items.push(self.value(",]"));
                self.takes(",");
            }
            return Value::Array(items);
        }
        if self.rest().starts_with(['"', '\'']) {
            return self.quoted().into();
        }
        if self.takes("!!str ") {
            return self.plain(ends).into();
        }
        if self.takes("!!binary ") {
            let bytes = STANDARD.decode(self.plain(ends)).unwrap_or_default();
            return String::from_utf8_lossy(&bytes).into_owned().into();
        }
        scalar(&self.plain(ends))
    }

    fn plain(&mut self, ends: &str) -> String {
        let rest = self.rest();
        let end = rest.find(|c| ends.contains(c)).unwrap_or(rest.len());
        let end = rest[..end].find(" #").unwrap_or(end);
        let text = rest[..end].trim_end().to_owned();
        self.at += end;
        text
    }

    fn quoted(&mut self) -> String {
        let single = self.rest().starts_with('\'');
        let mut out = String::new();
        let mut chars = self.text[self.at + 1..].char_indices();
        let start = self.at + 1;
        while let Some((at, c)) = chars.next() {
            self.at = start + at + c.len_utf8();
            match c {
                '\'' if single && self.rest().starts_with('\'') => {
                    out.push('\'');
                    chars.next();
                }
                '\'' if single => return out,
                '"' if !single => return out,
                '\\' if !single => match chars.next().map(|(_, c)| c) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('u') => {
                        let hex: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                        out.extend(u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32));
                    }
                    other => out.extend(other),
                },
                c => out.push(c),
            }
        }
        out
    }
}

/// The types of YAML 1.1.
fn scalar(text: &str) -> Value {
    match text.to_lowercase().as_str() {
        "" | "~" | "null" => return Value::Null,
        "y" | "yes" | "true" | "on" => return true.into(),
        "n" | "no" | "false" | "off" => return false.into(),
        _ => {}
    }
    let digits = text.replace('_', "");
    let (sign, digits) = digits.strip_prefix('-').map_or((1, digits.as_str()), |rest| (-1, rest));
    let based =
        |prefix: &str, radix| digits.strip_prefix(prefix).and_then(|rest| i64::from_str_radix(rest, radix).ok());
    let octal =
        (digits.len() > 1 && digits.bytes().all(|digit| digit.is_ascii_digit())).then(|| based("0", 8)).flatten();
    if let Some(number) = based("0x", 16).or_else(|| based("0o", 8)).or_else(|| based("0b", 2)).or(octal) {
        return (sign * number).into();
    }
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.chars().all(|c| c.is_ascii_digit() || "eE.+-".contains(c));
    if let (true, Ok(whole)) = (digits.bytes().all(|digit| digit.is_ascii_digit()), digits.parse::<i64>()) {
        return (sign * whole).into();
    }
    match text.replace('_', "").parse::<f64>() {
        Ok(number) if is_number && number.is_finite() => {
            let whole = format!("{number}").parse::<i64>().ok();
            whole.map_or_else(|| number.into(), Value::from)
        }
        _ => text.into(),
    }
}
