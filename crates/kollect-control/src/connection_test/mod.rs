//! Connection tests: one attempt per generation to reach a sink, recorded, and the object's end when its time is over.
//!
//! Separate from sinks, whose own tests go on for as long as they exist. It never retries: a failed attempt is a result.

pub mod decide;

use crate::clock::{timestamp, to_timestamp, wall_time};
use crate::control::{Control, health_of};
use crate::inventory::binding::sink_key;
use crate::kinds::{NamespacedName, ObjectRef};
use crate::metrics::TypeResult;
use crate::registry::{BuiltSink, SinkObject};
use crate::shared::status::api_of;
use crate::sink::{PROBE_DEADLINE, Unusable, probed};
use decide::Ended;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kollect_api::KollectConnectionTest;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use parking_lot::Mutex;
use serde_json::{Map, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

const DELETE_RETRY: Duration = Duration::from_secs(10);

/// One run of a test.
pub struct TestRun {
    uid: Option<String>,
    generation: i64,
    stage: Stage,
    outcome: Arc<Mutex<Option<(Ended, SystemTime)>>>,
}

/// How far a run is.
enum Stage {
    /// The sink's Secrets are read, so that a test right after a rotation tests what was rotated. `true` once they are.
    Reading(Arc<AtomicBool>),
    Started,
}

impl TestRun {
    /// Another generation is another test, and so is another object of the same name.
    fn is_of(&self, test: &KollectConnectionTest) -> bool {
        self.uid == test.metadata.uid && self.generation == test.metadata.generation.unwrap_or(0)
    }

    fn may_start(&self) -> bool {
        matches!(&self.stage, Stage::Reading(done) if done.load(Ordering::Acquire))
    }
}

impl Control {
    /// Brings one connection test on its way.
    pub(crate) fn reconcile_connection_test(&mut self, object: &ObjectRef) {
        let Some(test) = self.world.read().connection_tests.get(&object.key()).cloned() else {
            self.connection_tests.remove(object);
            return self.gone(object);
        };
        if test.metadata.deletion_timestamp.is_some() {
            return;
        }
        let generation = test.metadata.generation.unwrap_or(0);
        let status = test.status.clone().unwrap_or_default();
        let ours = self.connection_tests.get(object).is_some_and(|run| run.is_of(&test));
        if !ours && status.completed && status.observed_generation == Some(generation) {
            // Ended before this process came to lead.
            let ended = status.completed_at.map_or_else(timestamp, |time| time.0);
            return self.end_of_life(object, &test, ended);
        }
        if !ours {
            let run = self.read_secrets_first(object, &test);
            self.connection_tests.insert(object.clone(), run);
        }
        if self.connection_tests.get(object).is_some_and(TestRun::may_start)
            && let Some(run) = self.start_test(object, &test)
        {
            self.connection_tests.insert(object.clone(), run);
        }
        let ended = self.connection_tests.get(object).and_then(|run| run.outcome.lock().clone());
        self.report_test(object, &test, ended.as_ref());
        if let Some((_, when)) = ended {
            self.end_of_life(object, &test, to_timestamp(when));
        }
    }

    /// A run that starts once the sink's Secrets were read. Sink and test are reconciled then, in this order.
    fn read_secrets_first(&self, object: &ObjectRef, test: &KollectConnectionTest) -> TestRun {
        let done = Arc::new(AtomicBool::new(false));
        match decide::sink_of(&test.spec.sink_ref) {
            Ok((kind, name)) => {
                let sink = ObjectRef::new(kind, &NamespacedName::new(&object.namespace, name));
                let (secrets, dirty, object, done) =
                    (self.secrets.clone(), self.dirty.clone(), object.clone(), done.clone());
                tokio::spawn(async move {
                    secrets.read_now(&sink).await;
                    done.store(true, Ordering::Release);
                    dirty.mark(object);
                });
            }
            Err(_) => done.store(true, Ordering::Release),
        }
        TestRun {
            uid: test.metadata.uid.clone(),
            generation: test.metadata.generation.unwrap_or(0),
            stage: Stage::Reading(done),
            outcome: Arc::default(),
        }
    }

    /// Starts the attempt; `None` while the sink's Secrets are being read, after which this object is looked at again.
    fn start_test(&self, object: &ObjectRef, test: &KollectConnectionTest) -> Option<TestRun> {
        let generation = test.metadata.generation.unwrap_or(0);
        let ended = |ended: Ended| {
            let outcome = Arc::new(Mutex::new(Some((ended, wall_time()))));
            Some(TestRun { uid: test.metadata.uid.clone(), generation, stage: Stage::Started, outcome })
        };
        let (kind, name) = match decide::sink_of(&test.spec.sink_ref) {
            Ok(sink) => sink,
            Err(why) => return ended(Ended::without_attempt("InvalidSinkRef", why)),
        };
        let key = NamespacedName::new(&object.namespace, name);
        let Some(sink) = crate::sink::find(self, kind, &key) else {
            let why = format!("{} {key} does not exist; create it or correct spec.sinkRef", kind.name());
            return ended(Ended::without_attempt("SinkNotFound", why));
        };
        let state = self.sinks.get(&ObjectRef::new(kind, &key))?;
        match &state.built {
            Err(Unusable::Waiting) => None,
            Err(Unusable::Fault { fault, .. }) => {
                let reason = match fault.reason {
                    "SecretResolveFailed" => "SecretResolveFailed",
                    _ => "ConnectionTestFailed",
                };
                ended(Ended::without_attempt(reason, fault.message.clone()))
            }
            Ok(built) => Some(self.attempt(object, test, &sink, built, generation)),
        }
    }

    fn attempt(
        &self,
        object: &ObjectRef,
        test: &KollectConnectionTest,
        sink: &SinkObject,
        built: &BuiltSink,
        generation: i64,
    ) -> TestRun {
        let outcome = Arc::new(Mutex::new(None));
        let run =
            TestRun { uid: test.metadata.uid.clone(), generation, stage: Stage::Started, outcome: outcome.clone() };
        let owner = (test.spec.owner_sink != Some(false)).then(|| owner_patch(test, sink)).flatten();
        let (client, object, dirty) = (self.client.clone(), object.clone(), self.dirty.clone());
        let (metrics, sink_type, backend) = (self.metrics.clone(), sink.sink_type(), built.sink.clone());
        let sink_name = sink.meta().name.as_deref().unwrap_or_default();
        let sink_ref = sink_key(&ObjectRef::new(sink.kind(), &NamespacedName::new(&object.namespace, sink_name)));
        let exporter = self.exporter.clone();
        tokio::spawn(async move {
            if let Some(patch) = owner {
                let (api, params) = (api_of(&client, &object), PatchParams::apply("kollect").force());
                let patch = Patch::Apply(patch);
                let request = api.patch(&object.name, &params, &patch);
                if !matches!(tokio::time::timeout(PROBE_DEADLINE, request).await, Ok(Ok(_))) {
                    tracing::warn!(test = %object, error_class = "transient",
                        "the sink was not made the owner of the connection test; delete the test by hand if its sink goes");
                }
            }
            let started = Instant::now();
            let result = probed(&backend).await;
            let latency = Some(started.elapsed());
            let label = if result.is_ok() { "success" } else { "failure" }.to_owned();
            metrics.connection_test.get_or_create(&TypeResult { r#type: sink_type.to_owned(), result: label }).inc();
            if result.is_ok() {
                exporter.probe_passed(&sink_ref);
            }
            let result = result.map_err(|error| ("ConnectionTestFailed", error.to_string()));
            *outcome.lock() = Some((Ended { result, latency }, wall_time()));
            dirty.mark(object);
        });
        run
    }

    fn report_test(&mut self, object: &ObjectRef, test: &KollectConnectionTest, ended: Option<&(Ended, SystemTime)>) {
        let wanted = decide::conditions(ended.map(|(ended, _)| ended));
        let mut fields = Map::new();
        if let Some((ended, when)) = ended {
            fields.insert("completed".to_owned(), json!(true));
            fields.insert("completedAt".to_owned(), json!(Time(to_timestamp(*when))));
            if let Some(latency) = ended.latency {
                let millis = i64::try_from(latency.as_millis()).unwrap_or(i64::MAX);
                fields.insert("latencyMs".to_owned(), json!(millis));
            }
        }
        let present = serde_json::to_value(&test.status).unwrap_or_default();
        let health = health_of(&wanted);
        self.report(object, &test.metadata, &present, &wanted, fields, health);
    }

    /// Deletes the object when its time is over, else comes back then.
    fn end_of_life(&self, object: &ObjectRef, test: &KollectConnectionTest, ended: jiff::Timestamp) {
        let ttl = i64::from(test.spec.ttl_seconds_after_finished.max(0));
        let left = ended.as_second().saturating_add(ttl).saturating_sub(timestamp().as_second());
        if let Ok(left) = u64::try_from(left)
            && left > 0
        {
            return self.dirty.mark_at(object.clone(), Instant::now() + Duration::from_secs(left));
        }
        let (client, object, dirty) = (self.client.clone(), object.clone(), self.dirty.clone());
        let uid = test.metadata.uid.clone();
        tokio::spawn(async move {
            let params = DeleteParams {
                preconditions: Some(Preconditions { uid, resource_version: None }),
                ..DeleteParams::default()
            };
            let api = api_of(&client, &object);
            match tokio::time::timeout(PROBE_DEADLINE, api.delete(&object.name, &params)).await {
                Ok(Ok(_)) => {}
                Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {}
                other => {
                    let error = match other {
                        Ok(Err(error)) => error.to_string(),
                        _ => "the API server did not answer in 15 s".to_owned(),
                    };
                    tracing::warn!(test = %object, error, error_class = "transient",
                        "finished connection test not deleted; trying again");
                    dirty.mark_at(object, Instant::now() + DELETE_RETRY);
                }
            }
        });
    }
}

/// Makes the sink the owner, unless another object already controls the test. Applied on the server's side, where owners
/// are merged one by one, so that a status write in between is no conflict.
fn owner_patch(test: &KollectConnectionTest, sink: &SinkObject) -> Option<serde_json::Value> {
    let owners = test.metadata.owner_references.as_deref().unwrap_or_default();
    let (uid, name) = (sink.meta().uid.as_deref()?, sink.meta().name.as_deref()?);
    if owners.iter().any(|owner| owner.uid == uid || owner.controller == Some(true)) {
        return None;
    }
    let owner = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": sink.kind().name(), "name": name, "uid": uid, "controller": true,
    });
    let meta = &test.metadata;
    Some(json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectConnectionTest",
        "metadata": {"namespace": meta.namespace, "name": meta.name, "uid": meta.uid, "ownerReferences": [owner]},
    }))
}
