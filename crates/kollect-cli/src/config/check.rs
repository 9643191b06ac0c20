//! Applies the rules of admission to the objects of a configuration.

use super::error::{ConfigError, DocumentOrigin};
use super::objects::CollectConfig;
use kollect_resources::registry::SinkObject;
use kollect_rules::{ReviewFacts, RuleSettings};
use serde_json::Value;

fn settings() -> RuleSettings {
    // The user of the command chose the sinks, and reaches them with their own network access.
    RuleSettings { allow_private_sinks: true, allow_loopback_sinks: true, ..RuleSettings::default() }
}

/// Rules about one object alone: its warnings, or what it breaks.
pub(super) fn object(value: &Value) -> Result<Vec<String>, Vec<String>> {
    let Some(review) = kollect_rules::review(value, &settings(), &ReviewFacts::default()) else {
        return Ok(Vec::new());
    };
    if review.violations.is_empty() {
        let at = |warning: &kollect_rules::Warning| format!("{}: {}", warning.field, warning.message);
        return Ok(review.warnings.iter().map(at).collect());
    }
    Err(review.violations.iter().map(ToString::to_string).collect())
}

/// Rules about how objects go together, and whether sinks can be written to.
pub(super) fn references(config: &CollectConfig) -> Result<(), ConfigError> {
    for target in &config.targets {
        let Some(profile) = config.profile(target) else {
            let (origin, profile) = (target.origin.clone(), target.object.selection().profile_ref.clone());
            return Err(ConfigError::NoProfile { origin, target: target.title(), profile });
        };
        let object = kollect_api::KollectTarget::new(&target.name, target.object.selection().into_owned());
        let violations = kollect_rules::check_target(&object, &profile.gvk);
        if !violations.is_empty() {
            let kind = if target.is_cluster() { "KollectClusterTarget" } else { "KollectTarget" };
            let why = violations.iter().map(ToString::to_string).collect();
            return Err(ConfigError::refused(&target.origin, kind, &target.title(), why));
        }
    }
    // Checks that the operator makes and admission does not.
    for sink in &config.sinks {
        let (kind, violations) = match sink {
            SinkObject::Snapshot(sink) => ("KollectSnapshotSink", kollect_rules::check_snapshot_sink(&sink.spec)),
            SinkObject::Database(sink) => ("KollectDatabaseSink", kollect_rules::check_database_sink(&sink.spec)),
            SinkObject::Event(_) => continue,
        };
        refuse(config, kind, sink.meta(), &violations)?;
    }
    Ok(())
}

fn refuse(
    config: &CollectConfig,
    kind: &str,
    meta: &kube::api::ObjectMeta,
    violations: &[kollect_rules::Violation],
) -> Result<(), ConfigError> {
    if violations.is_empty() {
        return Ok(());
    }
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let origin = config.origin(kind, namespace, name).or_else(|| config.origin(kind, "", name));
    let origin = origin.cloned().unwrap_or_else(|| DocumentOrigin { file: "the directory".into(), document: 0 });
    Err(ConfigError::refused(&origin, kind, name, violations.iter().map(ToString::to_string).collect()))
}
