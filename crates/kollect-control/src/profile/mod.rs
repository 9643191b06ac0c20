//! Profiles: compiled once, when spec or opt-in annotations change.

use crate::context::Context;
use crate::controllers::{Controller, Controllers, Reconciled};
use crate::shared::conditions::{ConditionUpdate, health_of};
use crate::shared::report::Report;
use kollect_api::KollectProfile;
use kollect_model::Reason;
use kollect_resources::kinds::{NamespacedName, ObjectRef};
use kollect_resources::profile::CompiledProfile;
use serde_json::Map;
use std::collections::HashMap;
use std::sync::Arc;

impl Reconciled for KollectProfile {
    type Controller = ProfileController;
}

/// Compiles profiles.
#[derive(Default)]
pub struct ProfileController {
    compiled: HashMap<NamespacedName, CompiledProfile>,
}

impl ProfileController {
    /// The compiled profile, if the object exists.
    pub fn get(&self, key: &NamespacedName) -> Option<&CompiledProfile> {
        self.compiled.get(key)
    }
}

/// A profile that exists.
pub struct ObservedProfile {
    object: Arc<KollectProfile>,
    compiled: Option<CompiledProfile>,
    scrub_keys: Vec<String>,
}

/// A profile with its newest compilation.
pub struct DecidedProfile {
    object: Arc<KollectProfile>,
    compiled: CompiledProfile,
    is_new: bool,
}

impl Controller for ProfileController {
    type Observed = Option<ObservedProfile>;
    type Decision = Option<DecidedProfile>;
    type Applied = Option<Report>;

    fn observe(context: &Context, all: &Controllers, object: &ObjectRef) -> Self::Observed {
        let key = object.key();
        let profile = context.cache.read().get(&key)?;
        let compiled = all.profiles.get(&key).cloned();
        Some(ObservedProfile { object: profile, compiled, scrub_keys: context.settings.scrub_keys.clone() })
    }

    fn decide(_: &ObjectRef, observed: Self::Observed) -> Self::Decision {
        let ObservedProfile { object, compiled, scrub_keys } = observed?;
        let fresh = compiled.filter(|compiled| !compiled.is_stale(&object));
        let is_new = fresh.is_none();
        let compiled = fresh.unwrap_or_else(|| CompiledProfile::new(object.clone(), &scrub_keys));
        Some(DecidedProfile { object, compiled, is_new })
    }

    fn apply(&mut self, context: &Context, object: &ObjectRef, decision: Self::Decision) -> Self::Applied {
        let Some(DecidedProfile { object: profile, compiled, is_new }) = decision else {
            self.compiled.remove(&object.key());
            context.add_dependents(object);
            return None;
        };
        let conditions = vec![ready(&compiled)];
        if is_new {
            self.compiled.insert(object.key(), compiled);
            context.add_dependents(object);
        }
        let present = serde_json::to_value(&profile.status).unwrap_or_default();
        let health = health_of(&conditions);
        Some(Report { meta: profile.metadata.clone(), present, conditions, fields: Map::new(), health })
    }

    fn report(&mut self, context: &Context, object: &ObjectRef, applied: Self::Applied) {
        match applied {
            Some(report) => context.reporter.report(object, report),
            None => context.reporter.forget(object),
        }
    }
}

fn ready(profile: &CompiledProfile) -> ConditionUpdate {
    match &profile.result {
        Ok(_) => {
            let attributes = profile.source.spec.attributes.len();
            ConditionUpdate::is_true("Ready", Reason::Compiled, format!("{attributes} attributes of {}", profile.gvk))
        }
        Err(message) => ConditionUpdate::is_false("Ready", Reason::InvalidPath, message.clone()),
    }
}
