//! From a target's spec, its profile, scope and the namespaces to what the collector is told.

use crate::control::Control;
use crate::kinds::NamespacedName;
use crate::profile::Compiled;
use crate::scope::Scopes;
use crate::target::TargetState;
use crate::target::decide::Stop;
use kollect_api::{KollectTarget, KollectTargetSpec};
use kollect_collect::{Matching, TargetSpec, WantedNamespaces};
use kollect_model::Gvk;
use kollect_rules::{Ceiling, Confinement, SecretExtractionPolicy};
use kube::api::ObjectMeta;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

fn stop(reason: &'static str, message: impl Into<String>) -> Stop {
    Stop { reason, message: message.into() }
}

/// Seconds since 1970. An object without a time counts as old.
pub(crate) fn created(metadata: &ObjectMeta) -> i64 {
    metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second())
}

impl Control {
    /// What to collect, or why nothing can be. Fills in kind and namespaces as far as they are known.
    pub(super) fn target_spec(
        &self,
        key: &NamespacedName,
        target: &KollectTarget,
        state: &mut TargetState,
    ) -> Result<TargetSpec, Stop> {
        if target.spec.profile_ref.trim().is_empty() {
            return Err(stop("MissingProfileRef", "spec.profileRef is empty; name a KollectProfile of this namespace"));
        }
        let profile_key = NamespacedName::new(&key.namespace, &target.spec.profile_ref);
        let Some(profile) = self.profiles.get(&profile_key) else {
            let why = format!("KollectProfile {profile_key} does not exist; create it in this namespace");
            return Err(stop("ProfileNotFound", why));
        };
        state.gvk = profile.gvk.to_string();
        let extractor = match &profile.result {
            Ok(extractor) => extractor.clone(),
            Err(why) => return Err(stop("InvalidPath", format!("KollectProfile {profile_key}: {why}"))),
        };
        let scopes = Scopes::of_namespace(&self.world.read().scopes, &key.namespace);
        let ceiling = scopes.ceiling();
        let violations = kollect_rules::check_target(target, &profile.gvk);
        if !violations.is_empty() {
            return Err(stop("InvalidSpec", crate::profile::join(&violations)));
        }
        ceiling.gvk_allowed(&profile.gvk).map_err(|why| stop("ScopeGVKDenied", why))?;
        self.secrets_agreed(profile, &ceiling, "KollectScope of its namespace")?;
        let namespaces = self.resolve_namespaces(key, target, &profile.gvk, &ceiling, state)?;
        let matching = self.matching(&target.spec, &profile.gvk)?;
        let mut version = DefaultHasher::new();
        serde_json::to_string(&target.spec).unwrap_or_default().hash(&mut version);
        serde_json::to_string(&profile.source.spec).unwrap_or_default().hash(&mut version);
        profile.source.metadata.annotations.hash(&mut version);
        Ok(TargetSpec {
            key: state.key.clone(),
            gvk: profile.gvk.clone(),
            extractor,
            matching: Arc::new(matching),
            namespaces,
            created: created(&target.metadata),
            version: version.finish(),
        })
    }

    /// A profile may ask for the data of Secrets; whether it gets it is for the owner of the data to say.
    pub(crate) fn secrets_agreed(&self, profile: &Compiled, ceiling: &Ceiling<'_>, owner: &str) -> Result<(), Stop> {
        if !kollect_rules::collects_secret_data(&profile.source) {
            return Ok(());
        }
        kollect_rules::secret_extraction_allowed(self.settings.secret_extraction, ceiling, owner).map_err(|why| {
            stop("SecretExtractionDenied", format!("the profile asks for the data of Secrets, but {why}"))
        })
    }

    /// What a target selects, never with the operator's own Secrets.
    pub(crate) fn matching(&self, spec: &KollectTargetSpec, gvk: &Gvk) -> Result<Matching, Stop> {
        let matching = Matching::of(spec).map_err(|why| stop("InvalidSpec", format!("spec.resourceRules: {why}")))?;
        if !kollect_rules::is_core_secret(gvk) {
            return Ok(matching);
        }
        matching
            .without_own_secrets(&self.settings.operator_namespace, &self.settings.own_secrets)
            .map_err(|why| stop("InvalidSpec", why.to_string()))
    }

    fn resolve_namespaces(
        &self,
        key: &NamespacedName,
        target: &KollectTarget,
        gvk: &Gvk,
        ceiling: &Ceiling<'_>,
        state: &mut TargetState,
    ) -> Result<WantedNamespaces, Stop> {
        let Some(facts) = self.namespaces.borrow().clone() else { return Ok(WantedNamespaces::Undecided) };
        let labels: Vec<(&str, &std::collections::BTreeMap<String, String>)> =
            facts.iter().map(|(name, meta)| (name.as_ref(), &meta.labels)).collect();
        let unread: Vec<&str> = facts.iter().filter(|(_, meta)| meta.unread).map(|(name, _)| name.as_ref()).collect();
        let secrets =
            kollect_rules::is_core_secret(gvk) && self.settings.secret_extraction != SecretExtractionPolicy::Any;
        let resolved = kollect_rules::resolve_namespaces(&kollect_rules::NamespaceIntent {
            target: (&target.spec).into(),
            known: &labels,
            unread: &unread,
            default_included: &self.settings.default_included_namespaces,
            default_excluded: &self.settings.default_excluded_namespaces,
            ceiling,
            confinement: Confinement::of(&key.namespace, ceiling, secrets, self.settings.tenant_mode),
        });
        state.matched.clone_from(&resolved.matched);
        state.effective.clone_from(&resolved.effective);
        if let Some(why) = resolved.violation {
            return Err(stop("ScopeNamespaceDenied", why));
        }
        if !resolved.undecided.is_empty() {
            let names = resolved.undecided.join(", ");
            let why = format!(
                "what the target selects depends on labels of namespaces, and the operator may not read those of {names}; \
                 grant it get on namespaces there, or select by name"
            );
            return Err(stop("Forbidden", why));
        }
        let wanted: BTreeSet<Arc<str>> = resolved.effective.iter().map(|ns| Arc::from(ns.as_str())).collect();
        Ok(WantedNamespaces::Only(Arc::new(wanted)))
    }
}
