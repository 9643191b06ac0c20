//! One run of a connection test, and the attempt that it makes.

use super::decide::TestResult;
use crate::clock::wall_time;
use crate::context::Context;
use crate::metrics::TypeResult;
use crate::shared::status::api_of;
use crate::sink::probe::{self, PROBE_DEADLINE};
use kollect_api::KollectConnectionTest;
use kollect_model::Reason;
use kollect_resources::kinds::ObjectRef;
use kollect_resources::registry::{BuiltSink, SinkObject};
use kube::api::{Patch, PatchParams};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;
use tokio::time::Instant;

/// One run of a test. Cloning is cheap; clones share its progress.
#[derive(Clone)]
pub(super) struct TestRun {
    uid: Option<String>,
    generation: i64,
    stage: Stage,
    outcome: Arc<Mutex<Option<(TestResult, SystemTime)>>>,
}

/// How far a run is.
#[derive(Clone)]
enum Stage {
    /// The sink's Secrets are read, so that a test right after a rotation tests what was rotated. `true` once they are.
    Reading(Arc<AtomicBool>),
    Started,
}

impl TestRun {
    fn new(test: &KollectConnectionTest, stage: Stage) -> Self {
        let generation = test.metadata.generation.unwrap_or(0);
        Self { uid: test.metadata.uid.clone(), generation, stage, outcome: Arc::default() }
    }

    /// A run that starts once the sink's Secrets were read. Sink and test are reconciled then, in this order.
    pub(super) fn reading(
        context: &Context,
        object: &ObjectRef,
        test: &KollectConnectionTest,
        sink: ObjectRef,
    ) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let (secrets, queue, object, read) =
            (context.secrets.clone(), context.queue.clone(), object.clone(), done.clone());
        tokio::spawn(async move {
            secrets.read_now(&sink).await;
            read.store(true, Ordering::Release);
            queue.add(object);
        });
        Self::new(test, Stage::Reading(done))
    }

    /// A run that has ended.
    pub(super) fn ended(test: &KollectConnectionTest, result: TestResult) -> Self {
        let run = Self::new(test, Stage::Started);
        *run.outcome.lock() = Some((result, wall_time()));
        run
    }

    /// Starts the attempt.
    pub(super) fn attempt(
        context: &Context,
        object: &ObjectRef,
        test: &KollectConnectionTest,
        sink: &SinkObject,
        built: &BuiltSink,
    ) -> Self {
        let run = Self::new(test, Stage::Started);
        let outcome = run.outcome.clone();
        let owner = (test.spec.owner_sink != Some(false)).then(|| owner_patch(test, sink)).flatten();
        let (client, object, queue) = (context.client.clone(), object.clone(), context.queue.clone());
        let (metrics, sink_type, backend) = (context.metrics.clone(), sink.sink_type(), built.sink.clone());
        let (exporter, sink_key) = (context.exporter.clone(), sink.key());
        tokio::spawn(async move {
            if let Some(patch) = owner {
                set_owner(&client, &object, patch).await;
            }
            let started = Instant::now();
            let result = probe::run(&backend).await;
            let latency = Some(started.elapsed());
            let label = if result.is_ok() { "success" } else { "failure" }.to_owned();
            metrics.connection_test.get_or_create(&TypeResult { r#type: sink_type.to_owned(), result: label }).inc();
            if result.is_ok() {
                exporter.probe_passed(&sink_key);
            }
            let result = result.map_err(|error| (Reason::ConnectionTestFailed, error.to_string()));
            *outcome.lock() = Some((TestResult { result, latency }, wall_time()));
            queue.add(object);
        });
        run
    }

    /// Another generation is another test, and so is another object of the same name.
    pub(super) fn is_of(&self, test: &KollectConnectionTest) -> bool {
        self.uid == test.metadata.uid && self.generation == test.metadata.generation.unwrap_or(0)
    }

    pub(super) fn may_start(&self) -> bool {
        matches!(&self.stage, Stage::Reading(done) if done.load(Ordering::Acquire))
    }

    /// The result and when it was known; `None` while it runs.
    pub(super) fn result(&self) -> Option<(TestResult, SystemTime)> {
        self.outcome.lock().clone()
    }
}

async fn set_owner(client: &kube::Client, object: &ObjectRef, patch: Value) {
    let (api, params) = (api_of(client, object), PatchParams::apply("kollect").force());
    let patch = Patch::Apply(patch);
    let request = api.patch(&object.name, &params, &patch);
    if !matches!(tokio::time::timeout(PROBE_DEADLINE, request).await, Ok(Ok(_))) {
        tracing::warn!(test = %object, error_class = "transient",
            "the sink was not made the owner of the connection test; delete the test by hand if its sink goes");
    }
}

/// Makes the sink the owner, unless another object already controls the test. Applied on the server's side, where owners
/// are merged one by one, so that a status write in between is no conflict.
fn owner_patch(test: &KollectConnectionTest, sink: &SinkObject) -> Option<Value> {
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
