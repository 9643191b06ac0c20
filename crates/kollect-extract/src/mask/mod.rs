//! The set of fields that expressions can reach; only these are decoded, once for all profiles of a kind.
//!
//! A mask may keep too much; it must never drop a field that an expression could read. Only `metadata.managedFields` is
//! dropped unless it is named.

mod node;

pub(crate) use node::{MaskNode, WHOLE};
pub use node::{MaskPath, MaskStep};

/// A mask with more nodes than this keeps everything.
const MAX_NODES: usize = 1024;

/// The set of reachable field paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMask {
    root: MaskNode,
    managed_fields: bool,
}

impl Default for FieldMask {
    /// The fields that collecting itself needs: name, namespace, uid, labels and resourceVersion.
    fn default() -> Self {
        let mut mask = Self::nothing();
        for field in ["name", "namespace", "uid", "labels", "resourceVersion"] {
            mask.insert(&[MaskStep::Field("metadata".into()), MaskStep::Field(field.into())], true);
        }
        mask
    }
}

impl FieldMask {
    /// A mask that keeps nothing.
    pub(crate) fn nothing() -> Self {
        Self { root: MaskNode::default(), managed_fields: false }
    }

    /// A mask that keeps everything but `metadata.managedFields`.
    pub fn everything() -> Self {
        let mut mask = Self::default();
        mask.insert(&[], true);
        mask
    }

    /// A mask that keeps everything.
    pub(crate) fn whole() -> Self {
        Self { managed_fields: true, ..Self::everything() }
    }

    /// Adds a path; `whole` also adds everything below it, otherwise only whether it is there.
    pub(crate) fn insert(&mut self, path: &[MaskStep], whole: bool) {
        if let [MaskStep::Field(first), MaskStep::Field(second), ..] = path {
            self.managed_fields |= &**first == "metadata" && &**second == "managedFields";
        }
        let mut node = &mut self.root;
        for step in path {
            node = match step {
                MaskStep::Field(name) => node.fields.entry(name.clone()).or_default(),
                MaskStep::Any => node.any.get_or_insert_default(),
            };
        }
        node.whole |= whole;
        self.settle();
    }

    /// The mask that keeps the fields of both.
    pub fn union(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.root.merge(&other.root);
        both.managed_fields |= other.managed_fields;
        both.settle();
        both
    }

    /// Whether the metadata of an object is all that is reachable, so that a metadata-only watch is enough.
    ///
    /// `kind` and `apiVersion` do not count as metadata: such a watch reports `PartialObjectMetadata` there.
    pub fn metadata_only(&self) -> bool {
        !self.root.whole && self.root.any.is_none() && self.root.fields.keys().all(|key| &**key == "metadata")
    }

    /// The places that are reachable, in order. A place below one that is listed as whole is not listed again.
    pub fn paths(&self) -> Vec<MaskPath> {
        let mut all = Vec::new();
        self.root.list(&mut Vec::new(), &mut all);
        all
    }

    pub(crate) fn root(&self) -> &MaskNode {
        &self.root
    }

    pub(crate) fn managed_fields(&self) -> bool {
        self.managed_fields
    }

    /// Removes covered nodes; a mask with too many nodes becomes the whole object.
    fn settle(&mut self) {
        let mut budget = MAX_NODES;
        if !self.root.settle(&mut budget) {
            self.root = WHOLE.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scrub::LAST_APPLIED;
    use kollect_model::Gvk;
    use kollect_model::redact::REDACTED;
    use serde_json::Value;
    use serde_json::json;

    fn mask(paths: &[&str]) -> FieldMask {
        let mut mask = FieldMask::default();
        for path in paths {
            let steps: Vec<MaskStep> = path
                .split('.')
                .filter(|step| !step.is_empty())
                .map(|step| if step == "*" { MaskStep::Any } else { MaskStep::Field(step.into()) })
                .collect();
            mask.insert(&steps, true);
        }
        mask
    }

    fn object() -> Value {
        json!({
            "apiVersion": "v1", "kind": "X",
            "metadata": {"name": "n", "uid": "u", "labels": {"a": "b"}, "annotations": {"c": "d"}, "managedFields": [{"f": 1}]},
            "spec": {"list": [{"image": "i", "env": [1]}, {"image": "j"}, 3], "map": {"x": {"y": 1, "z": 2}}, "n": 1},
        })
    }

    fn kept(mask: &FieldMask) -> Value {
        decode(mask, &object().to_string()).unwrap()
    }

    fn decode(mask: &FieldMask, raw: &str) -> Result<Value, serde_json::Error> {
        mask.decode(&Gvk::new("", "v1", "X"), raw).map(|object| object.value().clone())
    }

    #[test]
    fn only_reachable_fields_are_decoded() {
        let metadata = json!({"name": "n", "uid": "u", "labels": {"a": "b"}});
        assert_eq!(kept(&mask(&[])), json!({"metadata": metadata}));
        assert_eq!(
            kept(&mask(&["spec.list.*.image", "spec.n.below"])),
            json!({"metadata": metadata, "spec": {"list": [{"image": "i"}, {"image": "j"}, 3], "n": 1}})
        );
        assert_eq!(
            kept(&mask(&["spec.map.*.y", "spec.map.x.z"])),
            json!({"metadata": metadata, "spec": {"map": {"x": {"y": 1, "z": 2}}}})
        );
        assert_eq!(kept(&mask(&["spec.list.name"])), json!({"metadata": metadata, "spec": {"list": []}}));
    }

    #[test]
    fn managed_fields_are_kept_only_when_they_are_named() {
        let mut all = object();
        all["metadata"].as_object_mut().unwrap().remove("managedFields");
        assert_eq!(kept(&FieldMask::everything()), all);
        assert_eq!(kept(&mask(&["metadata"]))["metadata"], all["metadata"]);
        assert_eq!(kept(&mask(&["", "metadata.managedFields"])), object());
        assert_eq!(kept(&mask(&["metadata.managedFields"]))["metadata"]["managedFields"], json!([{"f": 1}]));
    }

    #[test]
    fn nothing_can_reach_the_copy_that_kubectl_keeps() {
        let raw =
            json!({"metadata": {"annotations": {LAST_APPLIED: "a secret", "c": "d"}}, "data": {LAST_APPLIED: "e"}});
        let without = json!({LAST_APPLIED: REDACTED, "c": "d"});
        for mask in [FieldMask::everything(), mask(&["metadata"]), mask(&["", "metadata.managedFields"])] {
            let decoded = decode(&mask, &raw.to_string()).unwrap();
            assert_eq!(decoded["metadata"]["annotations"], without);
            assert!(decoded["data"].is_null() || decoded["data"] == raw["data"], "only the annotation is hidden");
        }
        let mut direct = FieldMask::default();
        direct.insert(&["metadata", "annotations", LAST_APPLIED].map(|key| MaskStep::Field(key.into())), true);
        assert_eq!(
            decode(&direct, &raw.to_string()).unwrap()["metadata"]["annotations"],
            json!({LAST_APPLIED: REDACTED})
        );
    }

    #[test]
    fn the_reachable_places_are_listed() {
        let listed = |paths: &[&str]| {
            let mut mask = FieldMask::nothing();
            for path in paths {
                let steps: Vec<MaskStep> =
                    path.split_terminator('.')
                        .map(|step| {
                            if step == "*" { MaskStep::Any } else { MaskStep::Field(step.trim_end_matches('?').into()) }
                        })
                        .collect();
                mask.insert(&steps, !path.ends_with('?'));
            }
            mask.paths()
        };
        let place = |steps: &[&str], whole| MaskPath {
            steps: steps.iter().map(|s| if *s == "*" { MaskStep::Any } else { MaskStep::Field((*s).into()) }).collect(),
            whole,
        };
        assert_eq!(listed(&[]), []);
        assert_eq!(listed(&["", "a.b"]), [place(&[], true)]);
        assert_eq!(
            listed(&["spec.list.*.image", "spec.n?", "spec.n", "meta?"]),
            [place(&["meta"], false), place(&["spec", "list", "*", "image"], true), place(&["spec", "n"], true)]
        );
    }

    #[test]
    fn a_union_keeps_what_either_keeps() {
        let both = mask(&["spec.n"]).union(&mask(&["spec.map.x.y"]));
        assert_eq!(kept(&both)["spec"], json!({"map": {"x": {"y": 1}}, "n": 1}));
        assert!(!both.metadata_only());
        assert!(mask(&["metadata.annotations"]).metadata_only());
        assert!(!mask(&["kind"]).metadata_only());
        assert!(!FieldMask::everything().metadata_only());
    }

    #[test]
    fn a_mask_that_grows_too_large_keeps_everything() {
        let mut large = FieldMask::default();
        for i in 0..MAX_NODES {
            large.insert(&[MaskStep::Field(format!("f{i}").into())], true);
        }
        assert_eq!(large.root, *WHOLE);
    }

    #[test]
    fn deep_or_broken_input_is_an_error() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(decode(&FieldMask::everything(), &format!(r#"{{"a":{deep}}}"#)).is_err());
        assert!(decode(&FieldMask::default(), r#"{"a":1"#).is_err());
        assert!(decode(&FieldMask::default(), r#"{"a":1} x"#).is_err());
        assert_eq!(decode(&FieldMask::default(), "{}").unwrap(), json!({}));
    }
}
