//! Sinks of all three kinds: built from spec and Secrets, probed, and reported.

mod credentials;
pub mod decide;
pub(crate) mod probe;
mod probe_state;
pub(crate) mod state;

use crate::context::{Context, ControlSettings};
use crate::controllers::{Controller, Controllers, Reconciled};
use crate::shared::conditions::health_of;
use crate::shared::report::Report;
use crate::shared::secrets::SecretState;
use credentials::SecretUse;
use decide::{SinkFacts, SinkFault, Unusable};
use kollect_api::{KollectDatabaseSink, KollectEventSink, KollectSnapshotSink};
use kollect_export::Class;
use kollect_model::Reason;
use kollect_resources::kinds::{Kind, NamespacedName, ObjectRef};
use kollect_resources::profile::join_violations;
use kollect_resources::registry::{BuiltSink, SinkObject, SinkRegistry};
use kollect_resources::target::violations;
use serde_json::Map;
use state::SinkState;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

impl Reconciled for KollectSnapshotSink {
    type Controller = SinkController;
}

impl Reconciled for KollectDatabaseSink {
    type Controller = SinkController;
}

impl Reconciled for KollectEventSink {
    type Controller = SinkController;
}

/// Builds and probes the sinks of one kind.
#[derive(Default)]
pub struct SinkController {
    sinks: HashMap<NamespacedName, SinkState>,
}

impl Controllers {
    /// The sink that `object` names, once its controller has built it.
    pub(crate) fn sink(&self, object: &ObjectRef) -> Option<&SinkState> {
        let controller = match object.kind {
            Kind::SnapshotSink => &self.snapshot_sinks,
            Kind::DatabaseSink => &self.database_sinks,
            Kind::EventSink => &self.event_sinks,
            _ => return None,
        };
        controller.sinks.get(&object.key())
    }
}

/// A sink that exists, and the Secrets that it refers to.
pub struct ObservedSink {
    sink: SinkObject,
    secrets: Vec<(SecretUse, SecretState)>,
    settings: Arc<ControlSettings>,
    registry: Arc<dyn SinkRegistry>,
}

/// A sink as it was built.
pub struct DecidedSink {
    sink: SinkObject,
    /// The Secrets to watch.
    watch: Vec<NamespacedName>,
    config_version: u64,
    built: Result<BuiltSink, Unusable>,
}

impl Controller for SinkController {
    type Observed = Option<ObservedSink>;
    type Decision = Option<DecidedSink>;
    type Applied = Option<Report>;

    fn observe(context: &Context, _: &Controllers, object: &ObjectRef) -> Self::Observed {
        let sink = SinkObject::find(&context.cache.read(), object)?;
        let needs = context.registry.secrets(&sink);
        let uses = needs.iter().map(|need| SecretUse::of(need, &object.namespace));
        let secrets = uses.map(|used| {
            let state = context.secrets.state(&used.secret);
            (used, state)
        });
        Some(ObservedSink {
            secrets: secrets.collect(),
            sink,
            settings: context.settings.clone(),
            registry: context.registry.clone(),
        })
    }

    fn decide(_: &ObjectRef, observed: Self::Observed) -> Self::Decision {
        let observed = observed?;
        let mut hash = DefaultHasher::new();
        observed.sink.spec().to_string().hash(&mut hash);
        let (watch, built) = observed.build(&mut hash);
        match &built {
            Ok(_) => 0_u8.hash(&mut hash),
            Err(Unusable::Waiting) => 1_u8.hash(&mut hash),
            Err(Unusable::Fault { fault, .. }) => fault.message.hash(&mut hash),
        }
        Some(DecidedSink { sink: observed.sink, watch, config_version: hash.finish(), built })
    }

    fn apply(&mut self, context: &Context, object: &ObjectRef, decision: Self::Decision) -> Self::Applied {
        let key = object.key();
        let Some(DecidedSink { sink, watch, config_version, built }) = decision else {
            context.secrets.bind(object, &[]);
            self.sinks.remove(&key);
            return None;
        };
        context.secrets.bind(object, &watch);
        if self.sinks.get(&key).is_none_or(|known| known.config_version != config_version) {
            self.sinks.insert(key.clone(), SinkState { config_version, built, probe: Arc::default() });
            context.add_dependents(object);
        }
        let state = self.sinks.get(&key)?;
        probe::start_if_due(context, object, &sink, state);
        Some(report_of(&sink, state))
    }

    fn report(&mut self, context: &Context, object: &ObjectRef, applied: Self::Applied) {
        match applied {
            Some(report) => context.reporter.report(object, report),
            None => context.reporter.forget(object),
        }
    }
}

impl ObservedSink {
    /// The Secrets to watch, and the sink. A Secret of another namespace is used only if it agrees to the place that the
    /// sink was built for.
    fn build(&self, hash: &mut DefaultHasher) -> (Vec<NamespacedName>, Result<BuiltSink, Unusable>) {
        let allowed = self.secrets.iter().try_for_each(|(used, _)| used.check_reference(&self.settings));
        if let Err(refused) = allowed {
            return (Vec::new(), Err(refused));
        }
        let watch = self.secrets.iter().map(|(used, _)| used.secret.clone()).collect();
        (watch, self.check().and_then(|()| self.build_with_secrets(hash)))
    }

    fn build_with_secrets(&self, hash: &mut DefaultHasher) -> Result<BuiltSink, Unusable> {
        let resolved = credentials::resolve(&self.secrets, &self.settings, hash)?;
        let built = self.registry.build(&self.sink, &resolved.bundle).map_err(|error| Unusable::Fault {
            class: error.class,
            fault: SinkFault { reason: error.reason.unwrap_or(Reason::SinkInvalid), message: error.to_string() },
        })?;
        for (used, agreement) in &resolved.foreign {
            if !agreement.allows_hosts(&built.hosts) {
                return Err(used.refused());
            }
        }
        Ok(built)
    }

    fn check(&self) -> Result<(), Unusable> {
        let found = match &self.sink {
            SinkObject::Snapshot(sink) => kollect_rules::check_snapshot_sink(&sink.spec),
            SinkObject::Database(sink) => kollect_rules::check_database_sink(&sink.spec),
            SinkObject::Event(sink) => {
                violations(&**sink, self.settings.max_export_bytes, self.settings.policy.tenant_mode)
            }
        };
        if found.is_empty() {
            return Ok(());
        }
        let fault = SinkFault { reason: Reason::SinkInvalid, message: join_violations(&found) };
        Err(Unusable::Fault { class: Class::Terminal, fault })
    }
}

fn report_of(sink: &SinkObject, state: &SinkState) -> Report {
    let fault = match &state.built {
        Err(Unusable::Fault { fault, .. }) => Some(fault.clone()),
        _ => None,
    };
    let facts = SinkFacts {
        fault,
        waiting: matches!(state.built, Err(Unusable::Waiting)),
        probed: state.last_probe(),
        probes: sink.probes() || probe::is_requested(sink),
        insecure: state.built.as_ref().ok().and_then(|built| built.insecure),
    };
    let conditions = decide::conditions(&facts);
    let health = health_of(&conditions);
    Report { meta: sink.meta().clone(), present: sink.status(), conditions, fields: Map::new(), health }
}
