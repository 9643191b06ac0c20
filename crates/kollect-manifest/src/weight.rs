//! The size of a value that anchors and aliases copy.

use serde_json::Value;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weight {
    pub(crate) bytes: usize,
    pub(crate) nodes: usize,
    pub(crate) depth: usize,
}

impl Weight {
    pub(crate) fn of(value: &Value) -> Self {
        let whole = |inside: &mut dyn Iterator<Item = Self>, own: usize| {
            inside.fold(Self { bytes: own, nodes: 1, depth: 1 }, |sum, part| Self {
                bytes: sum.bytes.saturating_add(part.bytes),
                nodes: sum.nodes.saturating_add(part.nodes),
                depth: sum.depth.max(part.depth + 1),
            })
        };
        match value {
            Value::String(text) => Self { bytes: text.len() + 2, nodes: 1, depth: 0 },
            Value::Array(items) => whole(&mut items.iter().map(Self::of), 2),
            Value::Object(map) => {
                let keys: usize = map.keys().map(|key| key.len() + 4).sum();
                whole(&mut map.values().map(Self::of), keys + 2)
            }
            _ => Self { bytes: 8, nodes: 1, depth: 0 },
        }
    }
}
