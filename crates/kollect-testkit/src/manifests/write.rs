//! One object in the notations that YAML has for it, chosen at random.

use fastrand::Rng;
use serde_json::{Map, Value};

/// An object as it is to be written.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    /// A plain scalar of YAML, and its value in JSON.
    Raw(&'static str, Value),
    Text(String),
    Null,
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
    /// A value with an anchor.
    Anchor(&'static str, Box<Tree>),
    /// The same value again.
    Alias(&'static str, Box<Tree>),
    /// A merge key with what it expands to.
    Merge(&'static str, Vec<(String, Tree)>),
}

impl Tree {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// For notations that have no anchors.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Raw(_, value) => value.clone(),
            Self::Text(text) => text.as_str().into(),
            Self::Null => Value::Null,
            Self::List(items) => items.iter().map(Self::value).collect(),
            Self::Anchor(_, inner) | Self::Alias(_, inner) => inner.value(),
            Self::Map(fields) | Self::Merge(_, fields) => fields_of(fields).into(),
        }
    }

    fn is_simple(&self) -> bool {
        match self {
            Self::Raw(..) | Self::Null | Self::Text(_) => true,
            Self::List(items) => items.iter().all(Self::is_simple),
            Self::Map(fields) => fields.iter().all(|(_, value)| value.is_simple()),
            _ => false,
        }
    }
}

fn fields_of(fields: &[(String, Tree)]) -> Map<String, Value> {
    let mut map = Map::new();
    for (key, tree) in fields {
        match tree {
            Tree::Merge(_, merged) => {
                for (key, value) in fields_of(merged) {
                    map.entry(key).or_insert(value);
                }
            }
            tree => _ = map.insert(key.clone(), tree.value()),
        }
    }
    map
}

/// Writes a map in block style; its first key begins where the text ends.
pub(super) fn block_map(fields: &[(String, Tree)], indent: usize, out: &mut String, random: &mut Rng) {
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            if random.u8(..) < 8 {
                out.push_str("\n# a: comment\n\n");
            }
            put(out, &[&" ".repeat(indent)]);
        }
        if let Tree::Merge(anchor, _) = value {
            put(out, &["<<: *", anchor, "\n"]);
            continue;
        }
        out.push_str(&key(name, random));
        out.push(':');
        after(value, indent, false, out, random);
    }
}

/// Writes what follows a key or a dash, and the end of its line.
fn after(value: &Tree, indent: usize, in_list: bool, out: &mut String, random: &mut Rng) {
    match value {
        Tree::Null => out.push_str(["\n", " ~\n", " null\n", " Null\n"][random.usize(..4)]),
        Tree::Alias(name, _) => put(out, &[" *", name, "\n"]),
        Tree::Anchor(name, inner) => {
            put(out, &[" &", name]);
            after(inner, indent, in_list, out, random);
        }
        Tree::Text(text) if text.contains('\n') && random.bool() && is_literal(text) => {
            out.push_str(if text.ends_with('\n') { " |\n" } else { " |-\n" });
            for line in text.lines() {
                put(out, &[&" ".repeat(if line.is_empty() { 0 } else { indent + 2 }), line, "\n"]);
            }
        }
        Tree::List(items) if !(items.is_empty() || value.is_simple() && random.bool()) => {
            let level = indent + if in_list { 2 } else { [0, 2][random.usize(..2)] };
            out.push('\n');
            for item in items {
                put(out, &[&" ".repeat(level), "-"]);
                match item {
                    Tree::Map(fields) if !fields.is_empty() => {
                        out.push(' ');
                        block_map(fields, level + 2, out, random);
                    }
                    item => after(item, level, true, out, random),
                }
            }
        }
        Tree::Map(fields) if !(fields.is_empty() || value.is_simple() && random.u8(..) < 60) => {
            let level = indent + [1, 2, 4][random.usize(..3)];
            put(out, &["\n", &" ".repeat(level)]);
            block_map(fields, level, out, random);
        }
        value => {
            put(out, &[" ", &flow(value, random)]);
            out.push_str(if random.u8(..) < 10 { " # and so on\n" } else { "\n" });
        }
    }
}

fn is_literal(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let ends_well = text.strip_suffix('\n').unwrap_or(text).lines().last().is_some_and(|line| !line.trim().is_empty());
    ends_well
        && !text.ends_with("\n\n")
        && lines.iter().all(|line| !line.starts_with([' ', '\t']) && !line.ends_with(' '))
        && lines.first().is_some_and(|line| !line.is_empty())
}

/// Writes a value in one line.
fn flow(value: &Tree, random: &mut Rng) -> String {
    match value {
        Tree::Raw(raw, _) => (*raw).to_owned(),
        Tree::Text(text) => scalar(text, random),
        Tree::Null => "null".to_owned(),
        Tree::List(items) => {
            let items: Vec<String> = items.iter().map(|item| flow(item, random)).collect();
            format!("[{}]", items.join(", "))
        }
        Tree::Map(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{}: {}", key(name, random), flow(value, random))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Tree::Anchor(_, inner) | Tree::Alias(_, inner) => flow(inner, random),
        Tree::Merge(..) => String::new(),
    }
}

fn key(name: &str, random: &mut Rng) -> String {
    if name.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c)) && random.u8(..) < 230 {
        return name.to_owned();
    }
    quoted(name, random)
}

fn scalar(text: &str, random: &mut Rng) -> String {
    let plain = text.starts_with(|c: char| "abcdghijklmpqrsuvwxz".contains(c))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._/- ".contains(c))
        && !text.ends_with(' ');
    if plain && random.bool() { text.to_owned() } else { quoted(text, random) }
}

fn quoted(text: &str, random: &mut Rng) -> String {
    if random.bool() && !text.chars().any(char::is_control) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => put(&mut out, &[&format!("\\u{:04x}", u32::from(c))]),
            c => out.push(c),
        }
    }
    out + "\""
}

fn put(out: &mut String, parts: &[&str]) {
    out.extend(parts.iter().copied());
}
