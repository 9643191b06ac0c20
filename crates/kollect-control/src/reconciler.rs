//! The reconcile loop: takes what is due, reconciles object by object, and hands the targets to the collector.
//!
//! One task decides, so that decisions never race; nothing in it waits for a network.

use crate::context::{Context, ControlSettings};
use crate::controllers::Controllers;
use crate::metrics::{Controller, ControllerResult, Metrics};
use crate::observe::Observer;
use crate::shared::events::Events;
use crate::shared::finalizers::FinalizerWriter;
use crate::shared::namespace_ends::NamespaceEnds;
use crate::shared::report::StatusReporter;
use crate::shared::secrets::Secrets;
use crate::shared::status::StatusWriter;
use crate::shared::work_queue::WorkQueue;
use kollect_api::DeletionPolicy;
use kollect_collect::{Collector, NamespaceFacts};
use kollect_export::Exporter;
use kollect_model::Reason;
use kollect_resources::cache::{Objects, ResourceCache};
use kollect_resources::cache_watch::CacheWatches;
use kollect_resources::kinds::{Kind, ObjectRef};
use kollect_resources::registry::SinkRegistry;
use kollect_store::Store;
use parking_lot::RwLock;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Changes that arrive together are decided together.
const BATCH: Duration = Duration::from_millis(20);
const AFTER_PANIC: Duration = Duration::from_secs(10);

/// What the reconciler is built from.
pub struct ReconcilerParts {
    /// API client.
    pub client: kube::Client,
    /// Rows; the controllers read counts only.
    pub store: Arc<Store>,
    /// Export engine.
    pub exporter: Arc<Exporter>,
    /// Collection engine.
    pub collector: Arc<Collector>,
    /// Sink types.
    pub registry: Arc<dyn SinkRegistry>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Takes outcomes of exports and changes of collection.
    pub queue: WorkQueue,
    /// Labels and annotations of namespaces.
    pub namespaces: watch::Receiver<Option<Arc<NamespaceFacts>>>,
    /// Settings.
    pub settings: ControlSettings,
}

/// The controllers of one leader.
pub struct Reconciler {
    context: Context,
    controllers: Controllers,
    started: Arc<AtomicBool>,
    decided: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl Reconciler {
    /// A reconciler that has not started. Everything it spawns ends with `stop`.
    pub fn new(parts: ReconcilerParts, stop: CancellationToken) -> Self {
        let ReconcilerParts { client, store, exporter, collector, registry, metrics, queue, namespaces, settings } =
            parts;
        let reporter = StatusReporter::new(
            StatusWriter::start(client.clone(), stop.clone()),
            Events::start(client.clone(), &settings.identity, stop.clone()),
        );
        let cache: Arc<RwLock<ResourceCache>> = Arc::default();
        let context = Context {
            namespace_ends: NamespaceEnds::new(client.clone(), queue.clone(), cache.clone(), namespaces.clone()),
            secrets: Secrets::new(client.clone(), queue.clone()),
            finalizers: FinalizerWriter::new(client.clone(), queue.clone()),
            reporter,
            client,
            store,
            exporter,
            collector,
            registry,
            metrics,
            settings: Arc::new(settings),
            namespaces,
            cache,
            queue,
        };
        Self { context, controllers: Controllers::default(), started: Arc::default(), decided: Arc::default(), stop }
    }

    /// The Kollect objects, for readers.
    pub fn cache(&self) -> Arc<RwLock<ResourceCache>> {
        self.context.cache.clone()
    }

    /// Whether the Kollect objects were read once.
    pub fn started(&self) -> Arc<AtomicBool> {
        self.started.clone()
    }

    /// Whether the first decisions about all Kollect objects were made and applied.
    pub fn decided(&self) -> Arc<AtomicBool> {
        self.decided.clone()
    }

    /// Runs until `stop`. An earlier end leaves the process without control: its caller must end it.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.first_sync() => {}
        }
        self.pass_on_namespaces();
        self.context.exporter.start();
        self.started.store(true, Ordering::Release);
        // Every listed object is queued by now; without any there is nothing to decide.
        self.decided.store(self.context.queue.depth() == 0, Ordering::Release);
        loop {
            let mut due = tokio::select! {
                () = stop.cancelled() => return,
                changed = self.context.namespaces.changed() => {
                    if changed.is_err() { return }
                    self.pass_on_namespaces();
                    continue;
                }
                due = self.context.queue.take() => due,
            };
            tokio::time::sleep(BATCH).await;
            // What arrived meanwhile belongs to the same round; `take` returns at once if anything waits.
            if self.context.queue.depth() > 0 {
                due.extend(self.context.queue.take().await);
            }
            for object in due {
                self.reconcile(&object);
            }
            self.hand_over_targets();
            self.decided.store(true, Ordering::Release);
        }
    }

    /// Waits for the first list of every Kollect kind and of the namespaces.
    async fn first_sync(&mut self) {
        let context = &mut self.context;
        let observer = Arc::new(Observer { metrics: context.metrics.clone(), queue: context.queue.clone() });
        let watches = CacheWatches::start(
            context.client.clone(),
            &context.settings.watch_namespaces,
            context.settings.policy.tenant_mode,
            context.cache.clone(),
            observer,
            self.stop.clone(),
        );
        watches.synced().await;
        // An error means the sender is gone, which happens only when the process stops.
        let _ = context.namespaces.wait_for(Option::is_some).await;
    }

    fn reconcile(&mut self, object: &ObjectRef) {
        let started = Instant::now();
        let (context, controllers) = (&self.context, &mut self.controllers);
        let outcome = catch_unwind(AssertUnwindSafe(|| controllers.reconcile(context, object)));
        let controller = object.kind.controller().to_owned();
        let result = if outcome.is_ok() { "success" } else { "failure" }.to_owned();
        let labels = ControllerResult { controller: controller.clone(), result };
        context.metrics.reconcile.get_or_create(&labels).inc();
        let labels = Controller { controller };
        context.metrics.reconcile_duration.get_or_create(&labels).observe(started.elapsed().as_secs_f64());
        let depth = i64::try_from(context.queue.depth()).unwrap_or(i64::MAX);
        context.metrics.workqueue_depth.get_or_create(&labels).set(depth);
        if outcome.is_err() {
            tracing::error!(object = %object, error_class = "transient", "reconcile panic recovered");
            context.count_error(object.kind, "transient");
            let message = "an internal error was caught; this object is tried again in 10 s";
            context.reporter.warn(object, None, Reason::ReconcilePanic, message);
            context.queue.add_at(object.clone(), Instant::now() + AFTER_PANIC);
        }
    }

    /// Hands the targets to the collector if any of them changed.
    fn hand_over_targets(&mut self) {
        let Controllers { targets, cluster_targets, .. } = &mut self.controllers;
        let collector = &self.context.collector;
        let hand_over = || {
            if targets.changed() | cluster_targets.changed() {
                let both = [&*targets, &*cluster_targets];
                let specs = both.iter().flat_map(|controller| controller.specs()).collect();
                let paused = both.iter().flat_map(|controller| controller.paused()).collect();
                collector.set_targets(specs, paused);
                targets.mark_handed_over();
                cluster_targets.mark_handed_over();
            }
        };
        if catch_unwind(AssertUnwindSafe(hand_over)).is_err() {
            let what = "handing targets to the collector panicked; it is repeated with the next change";
            tracing::error!(error_class = "transient", what);
        }
    }

    /// A label or annotation of a namespace may change what any target selects.
    fn pass_on_namespaces(&mut self) {
        let context = &mut self.context;
        let facts = context.namespaces.borrow_and_update().clone();
        if let Some(facts) = facts {
            context.collector.set_namespaces(&facts);
        }
        let cache = context.cache.read();
        // What an inventory with `Retain` exported stays when its namespace ends.
        let retained = cache.inventories.iter().filter(|(_, one)| one.spec.deletion_policy == DeletionPolicy::Retain);
        let inventories = retained.map(|(key, _)| ObjectRef::new(Kind::Inventory, key));
        let affected = refs(Kind::Target, &cache.targets)
            .chain(refs(Kind::ClusterTarget, &cache.cluster_targets))
            .chain(inventories)
            .chain(refs(Kind::ClusterInventory, &cache.cluster_inventories));
        for object in affected {
            context.queue.add(object);
        }
    }
}

fn refs<K>(kind: Kind, objects: &Objects<K>) -> impl Iterator<Item = ObjectRef> {
    objects.keys().map(move |key| ObjectRef::new(kind, key))
}
