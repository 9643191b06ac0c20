//! The tree of a mask.

use kollect_model::redact;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// One step of a reachable path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MaskStep {
    /// A key of an object.
    Field(Box<str>),
    /// Any element of a list or any key of an object.
    Any,
}

/// A place of an object that can be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaskPath {
    /// From the top of the object; none of them is the object itself.
    pub steps: Vec<MaskStep>,
    /// Everything below can be read as well. Otherwise only whether the place exists, and its kind.
    pub whole: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MaskNode {
    /// Everything below is reachable.
    pub(super) whole: bool,
    pub(super) fields: BTreeMap<Box<str>, MaskNode>,
    pub(super) any: Option<Box<MaskNode>>,
    /// A value is reachable that is a secret if the name beside it is sensitive.
    pub(crate) has_values: bool,
}

pub(crate) static WHOLE: LazyLock<MaskNode> =
    LazyLock::new(|| MaskNode { whole: true, has_values: true, ..MaskNode::default() });

impl MaskNode {
    pub(super) fn merge(&mut self, other: &Self) {
        self.whole |= other.whole;
        for (name, node) in &other.fields {
            self.fields.entry(name.clone()).or_default().merge(node);
        }
        if let Some(any) = &other.any {
            self.any.get_or_insert_default().merge(any);
        }
    }

    pub(super) fn list(&self, steps: &mut Vec<MaskStep>, all: &mut Vec<MaskPath>) {
        let leaf = self.fields.is_empty() && self.any.is_none();
        if self.whole || (leaf && !steps.is_empty()) {
            all.push(MaskPath { steps: steps.clone(), whole: self.whole });
        }
        let fields = self.fields.iter().map(|(name, node)| (MaskStep::Field(name.clone()), node));
        let any = self.any.iter().map(|node| (MaskStep::Any, &**node));
        for (step, node) in fields.chain(any) {
            steps.push(step);
            node.list(steps, all);
            steps.pop();
        }
    }

    /// Merges `any` into the nodes of named fields. `false` when there are too many nodes.
    pub(super) fn settle(&mut self, budget: &mut usize) -> bool {
        let Some(left) = budget.checked_sub(1) else { return false };
        *budget = left;
        self.has_values =
            self.whole || self.any.is_some() || self.fields.keys().any(|key| redact::is_paired_value(key));
        if self.whole {
            self.fields.clear();
            self.any = None;
            return true;
        }
        if let Some(any) = &mut self.any {
            if !any.settle(budget) {
                return false;
            }
            for node in self.fields.values_mut() {
                node.merge(any);
            }
        }
        self.fields.values_mut().all(|node| node.settle(budget))
    }

    /// The node of a key, or nothing when the key is not reachable.
    pub(crate) fn child(&self, key: &str) -> Option<&Self> {
        if self.whole {
            return Some(&WHOLE);
        }
        self.fields.get(key).or(self.any.as_deref())
    }

    /// The node of the elements of a list.
    pub(crate) fn element(&self) -> Option<&Self> {
        if self.whole { Some(&WHOLE) } else { self.any.as_deref() }
    }
}
