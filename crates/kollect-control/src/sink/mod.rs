//! Sinks: built from spec and Secrets, probed, and reported. All sink kinds go this one way.

mod credentials;
pub mod decide;
mod probe;

use crate::control::Control;
use crate::kinds::{Kind, NamespacedName, ObjectRef};
use crate::registry::{BuiltSink, SinkObject};
use decide::{Facts, Fault, Probed};
use kollect_export::Class;
use parking_lot::Mutex;
pub(crate) use probe::{PROBE_DEADLINE, probed};
use probe::{ProbeState, asks_for_probe};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// What the operator holds of one sink object.
pub struct SinkState {
    /// Changes with everything that a binding to this sink depends on.
    pub config_version: u64,
    /// The built sink, or why there is none.
    pub built: Result<BuiltSink, Unusable>,
    probe: Arc<Mutex<ProbeState>>,
}

/// Why a sink cannot be used.
#[derive(Clone, Debug)]
pub enum Unusable {
    /// Its Secrets are being read.
    Waiting,
    /// It needs a change by the user.
    Fault {
        /// What decides the reaction.
        class: Class,
        /// What is wrong.
        fault: Fault,
    },
}

impl SinkState {
    /// What the newest probe said.
    pub fn probed(&self) -> Probed {
        match &self.probe.lock().outcome {
            None => Probed::Never,
            Some(Ok(message)) => Probed::Ok(message.clone()),
            Some(Err(error)) => {
                Probed::Failed { message: error.to_string(), terminal: !matches!(error.class, Class::Transient { .. }) }
            }
        }
    }
}

/// The sink object that a reference names, if it exists.
pub fn find(control: &Control, kind: Kind, key: &NamespacedName) -> Option<SinkObject> {
    let world = control.world.read();
    match kind {
        Kind::SnapshotSink => world.snapshot_sinks.get(key).cloned().map(SinkObject::Snapshot),
        Kind::DatabaseSink => world.database_sinks.get(key).cloned().map(SinkObject::Database),
        Kind::EventSink => world.event_sinks.get(key).cloned().map(SinkObject::Event),
        _ => None,
    }
    .filter(|sink| sink.meta().deletion_timestamp.is_none())
}

impl Control {
    /// Brings one sink up to date.
    pub(crate) fn reconcile_sink(&mut self, object: &ObjectRef) {
        let Some(sink) = find(self, object.kind, &object.key()) else {
            self.secrets.bind(object, &[]);
            self.sinks.remove(object);
            self.gone(object);
            return;
        };
        let (version, built) = self.build(object, &sink);
        let changed = self.sinks.get(object).is_none_or(|s| s.config_version != version);
        if changed {
            self.sinks.insert(object.clone(), SinkState { config_version: version, built, probe: Arc::default() });
            self.mark_dependents(object);
        }
        self.probe_if_due(object, &sink);
        self.report_sink(object, &sink);
    }

    fn build(&self, object: &ObjectRef, sink: &SinkObject) -> (u64, Result<BuiltSink, Unusable>) {
        let mut hash = DefaultHasher::new();
        sink_spec(sink).to_string().hash(&mut hash);
        let built = self.check(sink).and_then(|()| self.build_with_secrets(object, sink, &mut hash));
        match &built {
            Ok(_) => 0_u8.hash(&mut hash),
            Err(Unusable::Waiting) => 1_u8.hash(&mut hash),
            Err(Unusable::Fault { fault, .. }) => fault.message.hash(&mut hash),
        }
        (hash.finish(), built)
    }

    /// A Secret of another namespace is used only if it agrees to the place that the sink was built for.
    fn build_with_secrets(
        &self,
        object: &ObjectRef,
        sink: &SinkObject,
        hash: &mut DefaultHasher,
    ) -> Result<BuiltSink, Unusable> {
        let resolved = self.resolve(object, sink, hash)?;
        let built = self.registry.build(sink, &resolved.bundle).map_err(|error| Unusable::Fault {
            class: error.class,
            fault: Fault { reason: error.reason.unwrap_or("SinkInvalid"), message: error.to_string() },
        })?;
        for (need, agreement) in &resolved.foreign {
            if !agreement.allows_hosts(&built.hosts) {
                return Err(need.refused());
            }
        }
        Ok(built)
    }

    fn check(&self, sink: &SinkObject) -> Result<(), Unusable> {
        let violations = match sink {
            SinkObject::Snapshot(sink) => kollect_rules::check_snapshot_sink(&sink.spec),
            SinkObject::Database(sink) => kollect_rules::check_database_sink(&sink.spec),
            SinkObject::Event(sink) => self.violations(&**sink),
        };
        if violations.is_empty() {
            return Ok(());
        }
        let message = crate::profile::join(&violations);
        Err(Unusable::Fault { class: Class::Terminal, fault: Fault { reason: "SinkInvalid", message } })
    }

    fn report_sink(&mut self, object: &ObjectRef, sink: &SinkObject) {
        let Some(state) = self.sinks.get(object) else { return };
        let fault = match &state.built {
            Err(Unusable::Fault { fault, .. }) => Some(fault.clone()),
            _ => None,
        };
        let facts = Facts {
            fault,
            waiting: matches!(state.built, Err(Unusable::Waiting)),
            probed: state.probed(),
            probes: sink.probes() || asks_for_probe(sink),
            insecure: state.built.as_ref().ok().and_then(|b| b.insecure),
        };
        let wanted = decide::conditions(&facts);
        let present = match sink {
            SinkObject::Snapshot(s) => serde_json::to_value(&s.status),
            SinkObject::Database(s) => serde_json::to_value(&s.status),
            SinkObject::Event(s) => serde_json::to_value(&s.status),
        };
        let health = crate::control::health_of(&wanted);
        self.report(object, sink.meta(), &present.unwrap_or_default(), &wanted, serde_json::Map::new(), health);
    }
}

fn sink_spec(sink: &SinkObject) -> serde_json::Value {
    match sink {
        SinkObject::Snapshot(sink) => serde_json::to_value(&sink.spec),
        SinkObject::Database(sink) => serde_json::to_value(&sink.spec),
        SinkObject::Event(sink) => serde_json::to_value(&sink.spec),
    }
    .unwrap_or_default()
}
