//! Connection tests: one attempt per generation to reach a sink, recorded, and the object's end when its time is over.
//!
//! A test never retries: a failed attempt is a result. Sinks have probes of their own, for as long as they exist.

pub mod decide;
mod run;

use crate::clock::{timestamp, to_timestamp};
use crate::context::Context;
use crate::controllers::{Controller, Controllers, Reconciled};
use crate::shared::conditions::health_of;
use crate::shared::report::Report;
use crate::shared::status::api_of;
use crate::sink::decide::Unusable;
use crate::sink::probe::PROBE_DEADLINE;
use decide::TestResult;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kollect_api::KollectConnectionTest;
use kollect_model::Reason;
use kollect_resources::kinds::{NamespacedName, ObjectRef};
use kollect_resources::registry::{BuiltSink, SinkObject};
use kube::api::{DeleteParams, Preconditions};
use run::TestRun;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

const DELETE_RETRY: Duration = Duration::from_secs(10);

impl Reconciled for KollectConnectionTest {
    type Controller = ConnectionTestController;
}

/// Runs connection tests.
#[derive(Default)]
pub struct ConnectionTestController {
    runs: HashMap<NamespacedName, TestRun>,
}

/// A test that exists, and the sink that it is about.
pub struct ObservedTest {
    test: Arc<KollectConnectionTest>,
    /// The run of this generation.
    run: Option<TestRun>,
    /// The sink that it refers to, or why there is not exactly one.
    sink: Result<ObservedTestSink, String>,
}

struct ObservedTestSink {
    object: ObjectRef,
    sink: Option<SinkObject>,
    built: Option<Result<BuiltSink, Unusable>>,
}

/// What to do about a test.
pub enum DecidedTest {
    /// It does not exist.
    Forget,
    /// It is being deleted.
    Ignore,
    /// It ended before this process became the leader.
    Finished(Arc<KollectConnectionTest>),
    /// Its next step.
    Go(Arc<KollectConnectionTest>, TestStep),
}

/// The next step of a test.
pub enum TestStep {
    /// Read the sink's Secrets.
    ReadSecrets(ObjectRef),
    /// Make the attempt.
    Attempt(Box<(SinkObject, BuiltSink)>),
    /// It ends without an attempt.
    End(TestResult),
    /// It waits for Secrets or for the backend.
    Wait,
}

/// A test after it was applied, and its result.
pub type AppliedTest = (Arc<KollectConnectionTest>, Option<(TestResult, SystemTime)>);

impl Controller for ConnectionTestController {
    type Observed = Option<ObservedTest>;
    type Decision = DecidedTest;
    type Applied = Option<AppliedTest>;

    fn observe(context: &Context, all: &Controllers, object: &ObjectRef) -> Self::Observed {
        let key = object.key();
        let cache = context.cache.read();
        let test = cache.get::<KollectConnectionTest>(&key)?;
        let sink = decide::sink_of(&test.spec.sink_ref).map(|(kind, name)| {
            let object = ObjectRef::new(kind, &NamespacedName::new(&object.namespace, name));
            let built = all.sink(&object).map(|state| state.built.clone());
            ObservedTestSink { sink: SinkObject::find(&cache, &object), built, object }
        });
        let run = all.connection_tests.runs.get(&key).filter(|run| run.is_of(&test)).cloned();
        Some(ObservedTest { test, run, sink })
    }

    fn decide(_: &ObjectRef, observed: Self::Observed) -> Self::Decision {
        let Some(ObservedTest { test, run, sink }) = observed else { return DecidedTest::Forget };
        if test.metadata.deletion_timestamp.is_some() {
            return DecidedTest::Ignore;
        }
        let status = test.status.as_ref();
        let completed = status.is_some_and(|s| s.completed && s.observed_generation == test.metadata.generation);
        let step = match (run, sink) {
            (None, _) if completed => return DecidedTest::Finished(test),
            (None, Err(why)) => TestStep::End(TestResult::without_attempt(Reason::InvalidSinkRef, why)),
            (None, Ok(sink)) => TestStep::ReadSecrets(sink.object),
            (Some(run), Ok(sink)) if run.may_start() => start(sink),
            (Some(_), _) => TestStep::Wait,
        };
        DecidedTest::Go(test, step)
    }

    fn apply(&mut self, context: &Context, object: &ObjectRef, decision: Self::Decision) -> Self::Applied {
        let key = object.key();
        let (test, step) = match decision {
            DecidedTest::Forget => {
                self.runs.remove(&key);
                context.reporter.forget(object);
                return None;
            }
            DecidedTest::Ignore => return None,
            DecidedTest::Finished(test) => {
                let completed = test.status.as_ref().and_then(|status| status.completed_at.clone());
                end_of_life(context, object, &test, completed.map_or_else(timestamp, |time| time.0));
                return None;
            }
            DecidedTest::Go(test, step) => (test, step),
        };
        let run = match step {
            TestStep::ReadSecrets(sink) => Some(TestRun::reading(context, object, &test, sink)),
            TestStep::Attempt(sink) => Some(TestRun::attempt(context, object, &test, &sink.0, &sink.1)),
            TestStep::End(result) => Some(TestRun::ended(&test, result)),
            TestStep::Wait => None,
        };
        if let Some(run) = run {
            self.runs.insert(key.clone(), run);
        }
        let result = self.runs.get(&key).and_then(TestRun::result);
        if let Some((_, when)) = &result {
            end_of_life(context, object, &test, to_timestamp(*when));
        }
        Some((test, result))
    }

    fn report(&mut self, context: &Context, object: &ObjectRef, applied: Self::Applied) {
        let Some((test, result)) = applied else { return };
        let conditions = decide::conditions(result.as_ref().map(|(result, _)| result));
        let fields = result.as_ref().map(fields).unwrap_or_default();
        let present = serde_json::to_value(&test.status).unwrap_or_default();
        let health = health_of(&conditions);
        context.reporter.report(object, Report { meta: test.metadata.clone(), present, conditions, fields, health });
    }
}

/// The step after the Secrets of the sink were read.
fn start(observed: ObservedTestSink) -> TestStep {
    let Some(sink) = observed.sink else {
        let why = format!("{} does not exist; create it or correct spec.sinkRef", observed.object);
        return TestStep::End(TestResult::without_attempt(Reason::SinkNotFound, why));
    };
    match observed.built {
        None | Some(Err(Unusable::Waiting)) => TestStep::Wait,
        Some(Err(Unusable::Fault { fault, .. })) => {
            let reason = match fault.reason {
                Reason::SecretResolveFailed => Reason::SecretResolveFailed,
                _ => Reason::ConnectionTestFailed,
            };
            TestStep::End(TestResult::without_attempt(reason, fault.message))
        }
        Some(Ok(built)) => TestStep::Attempt(Box::new((sink, built))),
    }
}

fn fields((result, when): &(TestResult, SystemTime)) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("completed".to_owned(), json!(true));
    fields.insert("completedAt".to_owned(), json!(Time(to_timestamp(*when))));
    if let Some(latency) = result.latency {
        let millis = i64::try_from(latency.as_millis()).unwrap_or(i64::MAX);
        fields.insert("latencyMs".to_owned(), json!(millis));
    }
    fields
}

/// Deletes the object when its time is over, else comes back then.
fn end_of_life(context: &Context, object: &ObjectRef, test: &KollectConnectionTest, ended: jiff::Timestamp) {
    let ttl = i64::from(test.spec.ttl_seconds_after_finished.max(0));
    let left = ended.as_second().saturating_add(ttl).saturating_sub(timestamp().as_second());
    if let Ok(left) = u64::try_from(left)
        && left > 0
    {
        return context.queue.add_at(object.clone(), Instant::now() + Duration::from_secs(left));
    }
    let (client, object, queue) = (context.client.clone(), object.clone(), context.queue.clone());
    let preconditions = Some(Preconditions { uid: test.metadata.uid.clone(), resource_version: None });
    tokio::spawn(async move {
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        let api = api_of(&client, &object);
        let error = match tokio::time::timeout(PROBE_DEADLINE, api.delete(&object.name, &params)).await {
            Ok(Ok(_)) => return,
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the API server did not answer in 15 s".to_owned(),
        };
        tracing::warn!(test = %object, error, error_class = "transient",
            "finished connection test not deleted; trying again");
        queue.add_at(object, Instant::now() + DELETE_RETRY);
    });
}
