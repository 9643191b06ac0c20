//! Compiles the path of a field of a Helm release, and refuses fields that the profile may not read.

use crate::error::PathError;
use crate::mask::{FieldMask, MaskStep};
use serde_json::Value;

const PREFIX: &str = "helm:release.";
/// Longest path, so that a tree of paths cannot become deep.
const MAX_STEPS: usize = 32;

/// Short names of fields.
const ALIASES: &[(&str, &str)] = &[
    ("releaseName", "name"),
    ("chartName", "chart.metadata.name"),
    ("chartVersion", "chart.metadata.version"),
    ("appVersion", "chart.metadata.appVersion"),
    ("revision", "version"),
    ("status", "info.status"),
    ("lastDeployed", "info.last_deployed"),
];
/// Rendered objects and chart content, which no profile may read.
const REFUSED: &[&str] = &["manifest", "hooks", "chart.templates", "chart.files", "chart.values", "chart.raw"];
/// Those of them below a field that may be read.
pub(super) const REFUSED_IN_CHART: &[&str] = &["templates", "files", "values", "raw"];
/// User values and the notes that the chart renders from them: readable only with the opt-in for Secrets.
const OPT_IN: &[&str] = &["config", "info.notes"];

/// A field of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HelmPath {
    pub(super) steps: Vec<Box<str>>,
    /// The profile may read the notes.
    pub(super) notes: bool,
}

impl HelmPath {
    /// Compiles a path that starts with `helm:`. `core_secrets`: the kind of the profile is the core Secret.
    pub(crate) fn parse(text: &str, core_secrets: bool, data_allowed: bool) -> Result<Self, PathError> {
        let Some(field) = text.strip_prefix(PREFIX) else {
            return Err(PathError::at(0, "a path of a Helm release has the form helm:release.chartVersion"));
        };
        if !core_secrets {
            let message = "helm: paths read the Secrets that Helm keeps releases in; set targetGVK to v1 Secret";
            return Err(PathError::at(0, message));
        }
        let field = ALIASES.iter().find(|(alias, _)| *alias == field).map_or(field, |(_, place)| place);
        let steps: Vec<Box<str>> = field.split('.').map(Box::from).collect();
        if steps.iter().any(|step| step.is_empty()) || steps.len() > MAX_STEPS {
            return Err(PathError::at(
                PREFIX.len(),
                "names of fields are missing or too many; write names between dots",
            ));
        }
        if REFUSED.iter().any(|refused| is_within(field, refused)) {
            let message = format!("{field:?} of a Helm release holds rendered or chart content and is never exported");
            return Err(PathError::at(PREFIX.len(), message));
        }
        if OPT_IN.iter().any(|guarded| is_within(field, guarded)) && !data_allowed {
            let message = "the values given to a Helm release and its notes can be secret; allow them with the annotation \
                           kollect.dev/allow-secret-extraction: \"true\"";
            return Err(PathError::at(PREFIX.len(), message));
        }
        Ok(Self { steps, notes: data_allowed })
    }

    /// Adds the field of the Secret that contains the release.
    pub(crate) fn reach(mask: &mut FieldMask) {
        mask.insert(&["data", "release"].map(|key| MaskStep::Field(key.into())), true);
    }

    /// The value in a decoded release.
    pub(crate) fn find<'r>(&self, release: &'r Value) -> Option<&'r Value> {
        self.steps.iter().try_fold(release, |value, step| value.as_object()?.get(&**step))
    }
}

fn is_within(field: &str, parent: &str) -> bool {
    field.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
