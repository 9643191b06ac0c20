//! Profiles: compiled once, shared by every target that uses them.

use crate::shared::conditions::Wanted;
use kollect_api::KollectProfile;
use kollect_api::names::{TRUE, annotation};
use kollect_extract::{AttributeSource, Extractor, ProfileSource};
use kollect_model::Gvk;
use std::sync::Arc;

/// A profile as the collector uses it.
#[derive(Clone)]
pub struct Compiled {
    /// The object it was made from, to see when it must be made anew.
    pub source: Arc<KollectProfile>,
    /// Kind to collect.
    pub gvk: Arc<Gvk>,
    /// The compiled attributes, or what is wrong with them.
    pub result: Result<Arc<Extractor>, String>,
}

impl Compiled {
    /// Compiles a profile. `scrub_keys` are the operator's extra key names.
    pub fn new(source: Arc<KollectProfile>, scrub_keys: &[String]) -> Self {
        let gvk = Arc::new(Gvk::from(&source.spec.target_gvk));
        let result = compile(&source, &gvk, scrub_keys);
        Self { source, gvk, result }
    }

    /// Whether a newer object needs another compilation: only spec and opt-in annotations matter.
    pub fn is_stale(&self, newer: &KollectProfile) -> bool {
        self.source.spec != newer.spec || self.source.metadata.annotations != newer.metadata.annotations
    }

    /// The conditions of the profile.
    pub fn conditions(&self) -> Vec<Wanted> {
        vec![match &self.result {
            Ok(_) => Wanted::is_true(
                "Ready",
                "Compiled",
                format!("{} attributes of {}", self.source.spec.attributes.len(), self.gvk),
            ),
            Err(message) => Wanted::is_false("Ready", "InvalidPath", message.clone()),
        }]
    }
}

fn compile(profile: &KollectProfile, gvk: &Gvk, operator_keys: &[String]) -> Result<Arc<Extractor>, String> {
    let violations = kollect_rules::check_profile(profile);
    if !violations.is_empty() {
        return Err(join(&violations));
    }
    let attributes: Vec<AttributeSource> = profile
        .spec
        .attributes
        .iter()
        .map(|a| AttributeSource { name: a.name.clone(), path: a.path.clone(), optional: a.optional })
        .collect();
    let mut scrub_keys = operator_keys.to_vec();
    if let Some(prune) = profile.spec.export.as_ref().and_then(|e| e.prune.as_ref()) {
        scrub_keys.extend(prune.scrub_keys.iter().cloned());
    }
    let allowed = profile.metadata.annotations.as_ref().and_then(|a| a.get(annotation::ALLOW_SECRET_EXTRACTION));
    let source = ProfileSource {
        gvk,
        attributes: &attributes,
        scrub_keys: &scrub_keys,
        allow_secret_extraction: allowed.is_some_and(|v| v == TRUE),
        resource_mode: profile.spec.export.as_ref().is_some_and(|e| e.mode == kollect_api::ExportMode::Resource),
    };
    Extractor::compile(&source)
        .map(Arc::new)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// All violations in one line.
pub fn join(violations: &[kollect_rules::Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
