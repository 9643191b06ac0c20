//! Opt-in and opt-out of objects by labels.

use kollect_api::names::{DISABLED, ENABLED};
use std::collections::BTreeMap;

/// Label on namespaces and collected objects.
pub const WATCH_LABEL: &str = kollect_api::names::label::WATCH;
/// Annotation on namespaces.
pub const NAMESPACE_WATCH_ANNOTATION: &str = kollect_api::names::annotation::NAMESPACE_WATCH;

/// Whether an object is collected, as far as the watch labels go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WatchDecision {
    /// Collect it.
    Collect,
    /// Do not collect it.
    Skip,
}

/// Decides by the object's label, then by label and annotation of its namespace, then by the target's mode.
pub fn watch_decision(
    object_labels: &BTreeMap<String, String>,
    namespace_labels: &BTreeMap<String, String>,
    namespace_annotations: &BTreeMap<String, String>,
    opt_in: bool,
) -> WatchDecision {
    let object = object_labels.get(WATCH_LABEL).map(String::as_str);
    let namespace = [
        namespace_labels.get(WATCH_LABEL).map(String::as_str),
        namespace_annotations.get(NAMESPACE_WATCH_ANNOTATION).map(String::as_str),
    ];
    let collect = match object {
        Some(DISABLED) => false,
        Some(ENABLED) => true,
        // Opting out wins when label and annotation disagree.
        _ if namespace.contains(&Some(DISABLED)) => false,
        _ => !opt_in || namespace.contains(&Some(ENABLED)),
    };
    if collect { WatchDecision::Collect } else { WatchDecision::Skip }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(key: &str, value: &str) -> BTreeMap<String, String> {
        if value.is_empty() { BTreeMap::new() } else { BTreeMap::from([(key.to_owned(), value.to_owned())]) }
    }

    #[test]
    fn the_nearest_mark_decides() {
        let (on, off) = (ENABLED, DISABLED);
        let (all, opt_in) = (&[false][..], &[true][..]);
        for (object, label, annotation, modes, collected) in [
            (off, on, on, &[false, true][..], false),
            (on, off, "", &[false, true][..], true),
            ("", off, "", all, false),
            ("", on, off, all, false),
            ("", "", "", all, true),
            ("", "", "", opt_in, false),
            ("", on, "", opt_in, true),
            ("", "", on, opt_in, true),
            ("", off, on, opt_in, false),
            ("Disabled", "", "", all, true),
            ("true", "yes", "yes", opt_in, false),
        ] {
            for mode in modes {
                let got = watch_decision(
                    &map(WATCH_LABEL, object),
                    &map(WATCH_LABEL, label),
                    &map(NAMESPACE_WATCH_ANNOTATION, annotation),
                    *mode,
                );
                assert_eq!(got == WatchDecision::Collect, collected, "{object:?} {label:?} {annotation:?} {mode}");
            }
        }
    }
}
