//! Sinks: built from spec and Secrets, probed, and reported. All sink kinds go this one way.

pub mod decide;

use crate::control::Control;
use crate::kinds::{Kind, NamespacedName, ObjectRef};
use crate::registry::{BuiltSink, SecretBundle, SinkObject};
use crate::shared::secrets::SecretState;
use crate::shared::status::api_of;
use decide::{Facts, Fault, Probed};
use kollect_api::names::annotation;
use kollect_export::{Class, SinkError};
use kube::api::{Patch, PatchParams};
use parking_lot::Mutex;
use serde_json::json;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Longest probe, and longest request that belongs to one.
pub(crate) const PROBE_DEADLINE: Duration = Duration::from_secs(15);
const FIRST_RETRY: Duration = Duration::from_secs(5);
const ANNOTATION_GRACE: Duration = Duration::from_secs(30);
const LAST_RETRY: Duration = Duration::from_mins(5);

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

struct ProbeState {
    outcome: Option<Result<String, SinkError>>,
    running: bool,
    failures: u32,
    next: Option<Instant>,
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
            let probe = Arc::new(Mutex::new(ProbeState { outcome: None, running: false, failures: 0, next: None }));
            self.sinks.insert(object.clone(), SinkState { config_version: version, built, probe });
            self.mark_dependents(object);
        }
        self.probe_if_due(object, &sink);
        self.report_sink(object, &sink);
    }

    fn build(&self, object: &ObjectRef, sink: &SinkObject) -> (u64, Result<BuiltSink, Unusable>) {
        let mut hash = DefaultHasher::new();
        sink_spec(sink).to_string().hash(&mut hash);
        let built = self.check(sink).and_then(|()| self.resolve(object, sink, &mut hash)).and_then(|secrets| {
            self.registry.build(sink, &secrets).map_err(|error| Unusable::Fault {
                class: error.class,
                fault: Fault { reason: error.reason.unwrap_or("SinkInvalid"), message: error.to_string() },
            })
        });
        match &built {
            Ok(_) => 0_u8.hash(&mut hash),
            Err(Unusable::Waiting) => 1_u8.hash(&mut hash),
            Err(Unusable::Fault { fault, .. }) => fault.message.hash(&mut hash),
        }
        (hash.finish(), built)
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

    /// Reads the Secrets of a sink, if it may use them.
    fn resolve(
        &self,
        object: &ObjectRef,
        sink: &SinkObject,
        hash: &mut DefaultHasher,
    ) -> Result<SecretBundle, Unusable> {
        let fault = |class: Class, message: String| Unusable::Fault {
            class,
            fault: Fault { reason: "SecretResolveFailed", message },
        };
        let mut wanted = Vec::new();
        for need in self.registry.secrets(sink) {
            let namespace = need.namespace.as_deref().filter(|ns| !ns.is_empty()).unwrap_or(&object.namespace);
            if let Err(why) = self.may_use_secret(&object.namespace, namespace, &need.name) {
                self.secrets.bind(object, &[]);
                return Err(fault(Class::Terminal, format!("{}: {why}", need.field)));
            }
            wanted.push((need.field, NamespacedName::new(namespace, &need.name)));
        }
        let names: Vec<_> = wanted.iter().map(|(_, name)| name.clone()).collect();
        self.secrets.bind(object, &names);
        let mut bundle = SecretBundle::new();
        for (field, name) in wanted {
            match self.secrets.state(&name) {
                SecretState::Unread => return Err(Unusable::Waiting),
                SecretState::Missing => {
                    let why = format!("{field}: Secret {name} does not exist; create it or correct the reference");
                    return Err(fault(Class::Terminal, why));
                }
                SecretState::Denied(why) => return Err(fault(Class::Forbidden, format!("{field}: {why}"))),
                SecretState::Present(data) => {
                    data.hash(hash);
                    bundle.insert(field, data);
                }
            }
        }
        Ok(bundle)
    }

    /// A sink may use Secrets of its own namespace; of the operator's namespace only where no tenant boundary is drawn.
    fn may_use_secret(&self, sink_namespace: &str, secret_namespace: &str, name: &str) -> Result<(), String> {
        let settings = &self.settings;
        if secret_namespace == settings.operator_namespace && settings.own_secrets.iter().any(|own| own == name) {
            return Err(format!("Secret {name} belongs to the operator itself; no sink may use it"));
        }
        if secret_namespace == sink_namespace
            || settings.allowed_secret_namespaces.iter().any(|ns| ns == secret_namespace)
        {
            return Ok(());
        }
        let scoped = crate::scope::enforced(&self.world.read().scopes, sink_namespace).is_some();
        if secret_namespace == settings.operator_namespace && !settings.tenant_mode && !scoped {
            return Ok(());
        }
        Err(format!(
            "a sink of namespace {sink_namespace} may not use Secrets of namespace {secret_namespace}; move the Secret \
             next to the sink, or allow the namespace with --allowed-secret-namespaces"
        ))
    }

    fn probe_if_due(&self, object: &ObjectRef, sink: &SinkObject) {
        let Some(state) = self.sinks.get(object) else { return };
        let Ok(built) = &state.built else { return };
        let asked = asks_for_probe(sink);
        let mut probe = state.probe.lock();
        let now = Instant::now();
        let due = match (&probe.outcome, probe.next) {
            (None, _) => sink.probes() || asked,
            (Some(_), Some(next)) => next <= now && (sink.probes() || asked),
            (Some(Ok(_)), None) => asked && !sink.probes(),
            (Some(Err(_)), None) => false,
        };
        if probe.running || !due {
            if let Some(next) = probe.next {
                self.dirty.mark_at(object.clone(), next);
            }
            return;
        }
        probe.running = true;
        drop(probe);
        let task = ProbeTask {
            object: object.clone(),
            sink_type: sink.sink_type(),
            one_shot: asked && !sink.probes(),
            sink: built.sink.clone(),
            state: state.probe.clone(),
            dirty: self.dirty.clone(),
            metrics: self.metrics.clone(),
            client: self.client.clone(),
        };
        tokio::spawn(task.run());
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
            insecure: state.built.as_ref().is_ok_and(|b| b.insecure),
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

fn asks_for_probe(sink: &SinkObject) -> bool {
    let annotations = sink.meta().annotations.as_ref();
    annotations.and_then(|a| a.get(annotation::TEST_CONNECTION)).is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

/// One probe with its deadline: the backend's sentence, or why it was not reached.
pub(crate) async fn probe_once(sink: &kollect_export::Sink) -> Result<String, SinkError> {
    let cancel = CancellationToken::new();
    let outcome = tokio::time::timeout(PROBE_DEADLINE, sink.probe(&cancel)).await;
    cancel.cancel();
    let late = |_| Err(SinkError::transient("probe", "the backend did not answer in 15 s"));
    outcome.unwrap_or_else(late).map(|probe| probe.message)
}

struct ProbeTask {
    object: ObjectRef,
    sink_type: &'static str,
    one_shot: bool,
    sink: kollect_export::Sink,
    state: Arc<Mutex<ProbeState>>,
    dirty: crate::shared::dirty::Dirty,
    metrics: Arc<crate::metrics::Metrics>,
    client: kube::Client,
}

impl ProbeTask {
    async fn run(self) {
        let outcome = probe_once(&self.sink).await;
        let result = if outcome.is_ok() { "success" } else { "failure" };
        let labels = crate::metrics::TypeResult { r#type: self.sink_type.to_owned(), result: result.to_owned() };
        self.metrics.connection_test.get_or_create(&labels).inc();
        if let Err(error) = &outcome {
            let class = error.class.label();
            tracing::warn!(sink = %self.object, error_class = class, %error, "sink connection test failed");
        } else if self.one_shot {
            self.remove_annotation().await;
        }
        let mut state = self.state.lock();
        state.running = false;
        state.next = if outcome.is_ok() {
            // The annotation goes away a moment later; until that is seen it must not start another probe.
            self.one_shot.then(|| Instant::now() + ANNOTATION_GRACE)
        } else {
            state.failures = state.failures.saturating_add(1);
            let pause = FIRST_RETRY.saturating_mul(1 << (state.failures - 1).min(6)).min(LAST_RETRY);
            Some(Instant::now() + pause.mul_f64(0.75 + fastrand::f64() / 4.0))
        };
        state.outcome = Some(outcome);
        drop(state);
        self.dirty.mark(self.object);
    }

    async fn remove_annotation(&self) {
        let api = api_of(&self.client, &self.object);
        let patch = json!({ "metadata": { "annotations": { annotation::TEST_CONNECTION: null } } });
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let request = api.patch_metadata(&self.object.name, &params, &patch);
        if !matches!(tokio::time::timeout(PROBE_DEADLINE, request).await, Ok(Ok(_))) {
            tracing::warn!(sink = %self.object, error_class = "transient", "test-connection annotation not removed");
        }
    }
}
