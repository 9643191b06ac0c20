//! The control loop: takes what is dirty, decides object by object, and hands the writes to tasks.
//!
//! One task decides, so that decisions never race; nothing in it waits for a network.

use crate::clock::timestamp;
use crate::cluster_target::ClusterTargetState;
use crate::connection_test::TestRun;
use crate::feed::Feed;
use crate::inventory::InventoryState;
use crate::inventory::cleanup::Finished;
use crate::inventory::namespace_end::NamespaceEnds;
use crate::kinds::{Kind, NamespacedName, ObjectRef};
use crate::metrics::{Controller, ControllerResult, KindClass, Metrics, ProfileGvk};
use crate::profile::Compiled;
use crate::registry::SinkRegistry;
use crate::shared::conditions::{Wanted, merge};
use crate::shared::dirty::Dirty;
use crate::shared::events::{Events, Note};
use crate::shared::finalizers::FinalizerWrites;
use crate::shared::secrets::Secrets;
use crate::shared::status::{Desired, StatusWriter};
use crate::sink::SinkState;
use crate::target::TargetState;
use crate::target::listing::FailingLists;
use crate::world::World;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kollect_api::DeletionPolicy;
use kollect_collect::{Collector, NamespaceFacts};
use kollect_export::Exporter;
use kollect_store::Store;
use kube::api::ObjectMeta;
use parking_lot::{Mutex, RwLock};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Changes that arrive together are decided together.
const GATHER: Duration = Duration::from_millis(20);
const AFTER_PANIC: Duration = Duration::from_secs(10);

/// Settings of the control loops.
#[derive(Clone, Debug, Default)]
pub struct ControlSettings {
    /// Where the operator runs.
    pub operator_namespace: String,
    /// Secrets of the operator, in its namespace: no sink may use them and no target collects them.
    pub own_secrets: Vec<String>,
    /// Where data of Secrets may be collected.
    pub secret_extraction: kollect_rules::SecretExtractionPolicy,
    /// Namespaces to look at; empty = all.
    pub watch_namespaces: Vec<String>,
    /// No cluster-wide rights.
    pub tenant_mode: bool,
    /// Namespaces a target collects from when it names none.
    pub default_included_namespaces: Vec<String>,
    /// Namespaces no target collects from.
    pub default_excluded_namespaces: Vec<String>,
    /// More key names to redact.
    pub scrub_keys: Vec<String>,
    /// Largest document in bytes.
    pub max_export_bytes: i64,
    /// Rows from which a document inventory gets a shard warning.
    pub shard_warn_rows: u64,
    /// Namespaces, besides its own and the operator's, whose Secrets a sink may use where the Secret agrees.
    pub allowed_secret_namespaces: Vec<String>,
    /// Longest age of `status.collectedCount`.
    pub target_count_resync: Duration,
    /// This process, in events.
    pub identity: String,
}

/// What the control loops work with.
pub struct Parts {
    /// API client.
    pub client: kube::Client,
    /// Rows; control only asks for counts.
    pub store: Arc<Store>,
    /// Export engine.
    pub exporter: Arc<Exporter>,
    /// Collection engine.
    pub collector: Arc<Collector>,
    /// Sink types.
    pub registry: Arc<dyn SinkRegistry>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Where outcomes of exports and changes of collection are marked.
    pub dirty: Dirty,
    /// Labels and annotations of namespaces.
    pub namespaces: watch::Receiver<Option<Arc<NamespaceFacts>>>,
    /// Settings.
    pub settings: ControlSettings,
}

/// All control loops of one leader.
pub struct Control {
    pub(crate) client: kube::Client,
    pub(crate) store: Arc<Store>,
    pub(crate) exporter: Arc<Exporter>,
    pub(crate) collector: Arc<Collector>,
    pub(crate) registry: Arc<dyn SinkRegistry>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: ControlSettings,
    pub(crate) namespaces: watch::Receiver<Option<Arc<NamespaceFacts>>>,
    pub(crate) world: Arc<RwLock<World>>,
    pub(crate) dirty: Dirty,
    pub(crate) secrets: Secrets,
    pub(crate) statuses: StatusWriter,
    pub(crate) profiles: HashMap<NamespacedName, Compiled>,
    pub(crate) sinks: HashMap<ObjectRef, SinkState>,
    pub(crate) targets: BTreeMap<NamespacedName, TargetState>,
    pub(crate) cluster_targets: BTreeMap<NamespacedName, ClusterTargetState>,
    pub(crate) targets_changed: bool,
    /// What each target adds to the row gauge of its profile, which several targets may share.
    pub(crate) counted: HashMap<NamespacedName, (ProfileGvk, i64)>,
    pub(crate) inventories: HashMap<NamespacedName, InventoryState>,
    pub(crate) connection_tests: HashMap<ObjectRef, TestRun>,
    pub(crate) cleanups: Arc<Mutex<Vec<Finished>>>,
    /// Objects whose finalizers are being changed.
    pub(crate) finalizing: FinalizerWrites,
    pub(crate) failing_lists: FailingLists,
    pub(crate) namespace_ends: NamespaceEnds,
    events: Events,
    /// The main reason of each object with the uid that it is about.
    reasons: HashMap<ObjectRef, (Option<String>, String)>,
    started: Arc<AtomicBool>,
    decided: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl Control {
    /// The Kollect objects as last seen, for those who only read.
    pub fn world(&self) -> Arc<RwLock<World>> {
        self.world.clone()
    }

    /// Whether the Kollect objects were read once.
    pub fn started(&self) -> Arc<AtomicBool> {
        self.started.clone()
    }

    /// Whether the first decisions about all Kollect objects were made and applied.
    pub fn decided(&self) -> Arc<AtomicBool> {
        self.decided.clone()
    }

    /// Control loops that have not started. Everything they spawn ends with `stop`.
    pub fn new(parts: Parts, stop: CancellationToken) -> Self {
        let Parts { client, store, exporter, collector, registry, metrics, dirty, namespaces, settings } = parts;
        Self {
            secrets: Secrets::new(client.clone(), dirty.clone()),
            statuses: StatusWriter::start(client.clone(), stop.clone()),
            events: Events::start(client.clone(), &settings.identity, stop.clone()),
            client,
            store,
            exporter,
            collector,
            registry,
            metrics,
            settings,
            namespaces,
            world: Arc::default(),
            dirty,
            profiles: HashMap::new(),
            sinks: HashMap::new(),
            targets: BTreeMap::new(),
            cluster_targets: BTreeMap::new(),
            connection_tests: HashMap::new(),
            targets_changed: false,
            counted: HashMap::new(),
            inventories: HashMap::new(),
            cleanups: Arc::default(),
            finalizing: FinalizerWrites::default(),
            failing_lists: FailingLists::default(),
            namespace_ends: NamespaceEnds::default(),
            reasons: HashMap::new(),
            started: Arc::default(),
            decided: Arc::default(),
            stop,
        }
    }

    /// Runs until `stop`. An earlier end leaves the process without control: its caller must end it.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        let feed = Feed::start(
            self.client.clone(),
            &self.settings.watch_namespaces,
            self.settings.tenant_mode,
            self.world.clone(),
            self.dirty.clone(),
            self.metrics.clone(),
            stop.clone(),
        );
        tokio::select! {
            () = stop.cancelled() => return,
            () = feed.synced() => {}
        }
        let first_namespaces = async {
            // An error means the sender is gone, which happens only when the process stops.
            let _ = self.namespaces.wait_for(Option::is_some).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = first_namespaces => {}
        }
        self.pass_on_namespaces();
        self.exporter.start();
        self.started.store(true, Ordering::Release);
        // Every listed object is marked by now; without any there is nothing to decide.
        self.decided.store(self.dirty.depth() == 0, Ordering::Release);
        loop {
            let mut due = tokio::select! {
                () = stop.cancelled() => return,
                changed = self.namespaces.changed() => {
                    if changed.is_err() { return }
                    self.pass_on_namespaces();
                    continue;
                }
                due = self.dirty.take() => due,
            };
            tokio::time::sleep(GATHER).await;
            // What arrived meanwhile belongs to the same round; `take` returns at once if anything waits.
            if self.dirty.depth() > 0 {
                due.extend(self.dirty.take().await);
            }
            for object in due {
                self.reconcile(&object);
            }
            if catch_unwind(AssertUnwindSafe(|| self.apply_targets())).is_err() {
                tracing::error!(
                    error_class = "transient",
                    "applying targets panicked; it is repeated with the next change"
                );
                self.targets_changed = true;
            }
            self.decided.store(true, Ordering::Release);
        }
    }

    fn reconcile(&mut self, object: &ObjectRef) {
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| match object.kind {
            Kind::Scope => self.reconcile_scope(object),
            Kind::Profile => self.reconcile_profile(object),
            Kind::ClusterScope => self.reconcile_cluster_scope(object),
            Kind::SnapshotSink | Kind::DatabaseSink | Kind::EventSink => self.reconcile_sink(object),
            Kind::Target => self.reconcile_target(object),
            Kind::ClusterTarget => self.reconcile_cluster_target(object),
            Kind::Inventory | Kind::ClusterInventory => self.reconcile_inventory(object),
            Kind::ConnectionTest => self.reconcile_connection_test(object),
        }));
        let controller = object.kind.controller().to_owned();
        let result = if outcome.is_ok() { "success" } else { "failure" }.to_owned();
        let labels = ControllerResult { controller: controller.clone(), result };
        self.metrics.reconcile.get_or_create(&labels).inc();
        let labels = Controller { controller };
        self.metrics.reconcile_duration.get_or_create(&labels).observe(started.elapsed().as_secs_f64());
        let depth = i64::try_from(self.dirty.depth()).unwrap_or(i64::MAX);
        self.metrics.workqueue_depth.get_or_create(&labels).set(depth);
        if outcome.is_err() {
            tracing::error!(object = %object, error_class = "transient", "reconcile panic recovered");
            self.count_error(object.kind, "transient");
            self.warn(
                object,
                None,
                "ReconcilePanic",
                "an internal error was caught; this object is tried again in 10 s",
            );
            self.dirty.mark_at(object.clone(), Instant::now() + AFTER_PANIC);
        }
    }

    fn reconcile_scope(&mut self, object: &ObjectRef) {
        let (scope, wanted) = {
            let world = self.world.read();
            let Some(scope) = world.scopes.get(&object.key()).cloned() else {
                drop(world);
                return self.gone(object);
            };
            (scope, crate::scope::conditions(&world.scopes, &object.namespace))
        };
        let present = serde_json::to_value(&scope.status).unwrap_or_default();
        let health = health_of(&wanted);
        self.report(object, &scope.metadata, &present, &wanted, Map::new(), health);
    }

    fn reconcile_cluster_scope(&mut self, object: &ObjectRef) {
        let (scope, wanted) = {
            let world = self.world.read();
            let Some(scope) = world.cluster_scopes.get(&object.key()).cloned() else {
                drop(world);
                return self.gone(object);
            };
            (scope, crate::scope::cluster_conditions(&world.cluster_scopes))
        };
        let present = serde_json::to_value(&scope.status).unwrap_or_default();
        let health = health_of(&wanted);
        self.report(object, &scope.metadata, &present, &wanted, Map::new(), health);
    }

    fn reconcile_profile(&mut self, object: &ObjectRef) {
        let key = object.key();
        let Some(profile) = self.world.read().profiles.get(&key).cloned() else {
            self.profiles.remove(&key);
            self.mark_dependents(object);
            return self.gone(object);
        };
        if self.profiles.get(&key).is_none_or(|compiled| compiled.is_stale(&profile)) {
            let compiled = Compiled::new(profile.clone(), &self.settings.scrub_keys);
            self.profiles.insert(key.clone(), compiled);
            self.mark_dependents(object);
        }
        let Some(wanted) = self.profiles.get(&key).map(Compiled::conditions) else { return };
        let present = serde_json::to_value(&profile.status).unwrap_or_default();
        let health = health_of(&wanted);
        self.report(object, &profile.metadata, &present, &wanted, Map::new(), health);
    }

    /// Marks what depends on an object, but not the object.
    pub(crate) fn mark_dependents(&self, object: &ObjectRef) {
        let dependents = self.world.read().dependents(object);
        for dependent in dependents.into_iter().filter(|o| o != object) {
            self.dirty.mark(dependent);
        }
    }

    /// A label or annotation of a namespace may change what any target wants.
    fn pass_on_namespaces(&mut self) {
        let facts = self.namespaces.borrow_and_update().clone();
        if let Some(facts) = facts {
            self.collector.set_namespaces(&facts);
        }
        let world = self.world.read();
        let targets = world.targets.keys().map(|key| ObjectRef::new(Kind::Target, key));
        let cluster_targets = world.cluster_targets.keys().map(|key| ObjectRef::new(Kind::ClusterTarget, key));
        // What these export stays when their namespace ends.
        let retained = world.inventories.iter().filter(|(_, one)| one.spec.deletion_policy == DeletionPolicy::Retain);
        let inventories = retained.map(|(key, _)| ObjectRef::new(Kind::Inventory, key));
        let cluster_inventories =
            world.cluster_inventories.keys().map(|key| ObjectRef::new(Kind::ClusterInventory, key));
        for object in targets.chain(cluster_targets).chain(inventories).chain(cluster_inventories) {
            self.dirty.mark(object);
        }
    }

    /// What admission would refuse about an object, for installations without webhooks.
    pub(crate) fn violations<K: serde::Serialize>(&self, object: &K) -> Vec<kollect_rules::Violation> {
        let settings = kollect_rules::RuleSettings {
            max_export_bytes: self.settings.max_export_bytes,
            tenant_mode: self.settings.tenant_mode,
            // Addresses are checked when they are dialed.
            allow_private_sinks: true,
            allow_loopback_sinks: true,
            ..kollect_rules::RuleSettings::default()
        };
        let Ok(object) = serde_json::to_value(object) else { return Vec::new() };
        let review = kollect_rules::review(&object, &settings, &kollect_rules::Facts::default());
        review.unwrap_or_default().violations
    }

    /// Forgets an object that does not exist any more.
    pub(crate) fn gone(&mut self, object: &ObjectRef) {
        self.statuses.forget(object);
        self.reasons.remove(object);
    }

    pub(crate) fn count_error(&self, kind: Kind, class: &str) {
        let labels = KindClass { kind: kind.name().to_owned(), error_class: class.to_owned() };
        self.metrics.reconcile_errors.get_or_create(&labels).inc();
    }

    pub(crate) fn warn(&self, about: &ObjectRef, uid: Option<String>, reason: &str, message: &str) {
        self.note(about, uid, true, reason, message);
    }

    pub(crate) fn note(&self, about: &ObjectRef, uid: Option<String>, warning: bool, reason: &str, message: &str) {
        self.events.record(Note {
            about: about.clone(),
            uid,
            warning,
            reason: reason.to_owned(),
            message: message.to_owned(),
        });
    }

    /// Writes conditions and fields, and an event when the object's main reason turned.
    pub(crate) fn report(
        &mut self,
        object: &ObjectRef,
        meta: &ObjectMeta,
        present: &Value,
        wanted: &[Wanted],
        mut fields: Map<String, Value>,
        health: String,
    ) {
        let uid = meta.uid.as_deref();
        let base = self.statuses.last_written(object, uid).unwrap_or_else(|| present.clone());
        let existing: Vec<Condition> =
            base.get("conditions").and_then(|c| serde_json::from_value(c.clone()).ok()).unwrap_or_default();
        let generation = meta.generation.unwrap_or(0);
        let conditions = merge(&existing, wanted, generation, timestamp());
        let main = main_condition(wanted);
        fields.insert("conditions".to_owned(), serde_json::to_value(&conditions).unwrap_or_default());
        fields.insert("observedGeneration".to_owned(), json!(generation));
        if let Some(main) = main {
            fields.insert("reason".to_owned(), json!(main.reason));
            self.turned(object, meta, main);
        }
        self.statuses.submit(object, uid, Desired { status: Value::Object(fields), health }, present);
    }

    /// An event when the main reason is another one than before.
    fn turned(&mut self, object: &ObjectRef, meta: &ObjectMeta, main: &Wanted) {
        let before = self.reasons.insert(object.clone(), (meta.uid.clone(), main.reason.clone()));
        let before = before.and_then(|(uid, reason)| (uid == meta.uid).then_some(reason));
        if before.as_deref() == Some(main.reason.as_str()) {
            return;
        }
        let fault = is_fault(main);
        if fault {
            self.warn(object, meta.uid.clone(), &main.reason, &main.message);
            tracing::warn!(object = %object, reason = %main.reason, why = %main.message, "object is not healthy");
        } else if main.reason == "Exported" && before.is_some() {
            self.note(object, meta.uid.clone(), false, "ExportSucceeded", &main.message);
        }
    }
}

/// `Degraded` if present, else `Ready`: the condition that tells an object's story.
fn main_condition(wanted: &[Wanted]) -> Option<&Wanted> {
    wanted.iter().find(|c| c.kind == "Degraded" && c.status).or_else(|| wanted.iter().find(|c| c.kind == "Ready"))
}

fn is_fault(main: &Wanted) -> bool {
    let at_rest = ["Suspended", "Progressing"];
    main.kind == "Degraded" || (!main.status && !at_rest.contains(&main.reason.as_str()))
}

/// The health of an object with few states: every condition's status and reason.
pub fn health_of(wanted: &[Wanted]) -> String {
    wanted.iter().map(|c| format!("{}={}/{}", c.kind, c.status, c.reason)).collect::<Vec<_>>().join(";")
}
