//! Profiles: compiled once, shared by every target that uses them.

use kollect_api::KollectProfile;
use kollect_extract::Extractor;
use kollect_model::Gvk;
use std::sync::Arc;

/// A profile as the collector uses it. Cloning is cheap.
#[derive(Clone)]
pub struct CompiledProfile {
    /// The object it was made from, to know when it must be compiled again.
    pub source: Arc<KollectProfile>,
    /// Kind to collect.
    pub gvk: Arc<Gvk>,
    /// The compiled attributes, or what is wrong with them.
    pub result: Result<Arc<Extractor>, String>,
}

impl CompiledProfile {
    /// Compiles a profile. `scrub_keys` are the operator's extra key names.
    pub fn new(source: Arc<KollectProfile>, scrub_keys: &[String]) -> Self {
        let gvk = Arc::new(Gvk::from(&source.spec.target_gvk));
        let result = compile(&source, scrub_keys);
        Self { source, gvk, result }
    }

    /// Whether a newer object needs another compilation: only spec and opt-in annotations matter.
    pub fn is_stale(&self, newer: &KollectProfile) -> bool {
        self.source.spec != newer.spec || self.source.metadata.annotations != newer.metadata.annotations
    }
}

fn compile(profile: &KollectProfile, operator_keys: &[String]) -> Result<Arc<Extractor>, String> {
    let violations = kollect_rules::check_profile(profile);
    if !violations.is_empty() {
        return Err(join_violations(&violations));
    }
    Extractor::of_profile(profile, operator_keys)
        .map(Arc::new)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// All violations in one line.
pub fn join_violations(violations: &[kollect_rules::Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
