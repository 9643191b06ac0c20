//! What runs only on the leader: the watch of namespaces, the collector, the exporter and the control loops.

use crate::args::OperatorArgs;
use crate::part_settings::{control_settings, registry};
use crate::readiness::{Phase, Phases};
use crate::settings::Settings;
use anyhow::Context as _;
use kollect_collect::{CollectSettings, Collector, NamespaceWatch};
use kollect_control::metrics::Metrics;
use kollect_control::observe::Observer;
use kollect_control::reconciler::{Reconciler, ReconcilerParts};
use kollect_control::shared::work_queue::WorkQueue;
use kollect_export::{ExportSettings, Exporter, WriteRight};
use kollect_read_api::DataSource;
use kollect_store::Store;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// In-flight exports may finish for this long after a stop.
const EXPORT_GRACE: Duration = Duration::from_secs(5);
/// Poll interval for the end of the first lists.
const SETTLE_POLL: Duration = Duration::from_millis(200);

/// Everything that runs only on the leader.
pub(crate) struct LeaderTasks {
    exporter: Arc<Exporter>,
    collector: Arc<Collector>,
    pub(crate) data_source: Arc<DataSource>,
    control: JoinHandle<()>,
    /// The first decisions about all Kollect objects were made.
    decided: Arc<AtomicBool>,
    /// Ends its watch when it is dropped.
    _namespaces: NamespaceWatch,
}

impl LeaderTasks {
    pub(crate) fn start(
        args: &OperatorArgs,
        settings: &Settings,
        client: kube::Client,
        metrics: Arc<Metrics>,
        right: Arc<dyn WriteRight>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let store = Arc::new(Store::new());
        let queue = WorkQueue::default();
        let observer = Arc::new(Observer { metrics: metrics.clone(), queue: queue.clone() });
        let weak: Weak<Observer> = Arc::downgrade(&observer);
        store.observe(weak);
        let export = ExportSettings { export_timeout: settings.export_timeout, ..ExportSettings::default() };
        let exporter = Exporter::new(store.clone(), right, export, observer.clone());
        let collect = CollectSettings {
            workers: settings.dispatch_workers,
            queue_size: settings.dispatch_queue,
            given_namespaces: !args.watch_namespaces.is_empty(),
            max_store_bytes: settings.max_store_bytes,
            max_row_bytes: settings.max_row_bytes,
        };
        let given = args.watch_namespaces.iter().map(|ns| Arc::from(ns.as_str())).collect();
        let namespaces = NamespaceWatch::start(client.clone(), given);
        let collector = Collector::new(client.clone(), store.clone(), &collect, observer)
            .context("starting the workers that make rows of objects")?;
        let parts = ReconcilerParts {
            client,
            store: store.clone(),
            exporter: exporter.clone(),
            collector: collector.clone(),
            registry: Arc::new(registry(args)),
            metrics,
            queue,
            namespaces: namespaces.facts(),
            settings: control_settings(args, settings),
        };
        let reconciler = Reconciler::new(parts, stop);
        let data_source = Arc::new(DataSource::new(store, reconciler.cache(), reconciler.started()));
        let decided = reconciler.decided();
        let control = tokio::spawn(reconciler.run());
        Ok(Self { exporter, collector, data_source, decided, control, _namespaces: namespaces })
    }

    /// Keeps `phases` up to date, and ends only with the control loops: without them the process would hold the Lease
    /// and do nothing.
    pub(crate) async fn failed(&mut self, phases: &Phases) -> anyhow::Error {
        let Self { control, collector, decided, .. } = self;
        let settled = async {
            until(|| decided.load(Ordering::Acquire)).await;
            phases.set(Phase::Listing);
            until(|| collector.settled()).await;
            phases.set(Phase::Leading);
            std::future::pending::<std::convert::Infallible>().await
        };
        let ended = tokio::select! {
            ended = control => ended,
            never = settled => match never {},
        };
        let ended = ended.map_err(|panic| anyhow::Error::new(panic).context("the control loops ended")).err();
        ended.unwrap_or_else(|| anyhow::anyhow!("the control loops ended: the watch of namespaces is gone"))
    }

    /// Intake first, so that what is still exported is a state that the cluster had.
    pub(crate) async fn stop(self) {
        self.collector.stop().await;
        self.exporter.stop(EXPORT_GRACE).await;
    }
}

async fn until(reached: impl Fn() -> bool) {
    while !reached() {
        tokio::time::sleep(SETTLE_POLL).await;
    }
}
