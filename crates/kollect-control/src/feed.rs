//! Keeps the [`World`] equal to the API server: one watch per Kollect kind (and namespace, where confined).

use crate::kinds::{Kind, NamespacedName, ObjectRef};
use crate::metrics::{ControllerWatch, Metrics};
use crate::shared::dirty::Dirty;
use crate::shared::supervise;
use crate::world::{Held, World};
use futures_util::StreamExt;
use kollect_api::{
    KollectClusterInventory, KollectClusterScope, KollectClusterTarget, KollectConnectionTest, KollectDatabaseSink,
    KollectEventSink, KollectInventory, KollectProfile, KollectScope, KollectSnapshotSink, KollectTarget,
};
use kube::api::Api;
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use parking_lot::RwLock;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Seconds after which the API server ends a watch. Eleven kinds would otherwise be most of what an idle operator asks; a
/// dead connection is noticed by TCP keepalive long before.
const WATCH_SECONDS: std::ops::Range<u32> = 1500..1800;

/// Watches that fill the world.
pub struct Feed {
    client: Client,
    world: Arc<RwLock<World>>,
    dirty: Dirty,
    metrics: Arc<Metrics>,
    unsynced: Arc<AtomicUsize>,
    synced: Arc<Notify>,
    stop: CancellationToken,
}

impl Feed {
    /// Starts the watches. With `namespaces` only those are looked at, which a namespaced Role allows; `tenant_mode`
    /// leaves out the cluster-scoped kinds.
    pub fn start(
        client: Client,
        namespaces: &[String],
        tenant_mode: bool,
        world: Arc<RwLock<World>>,
        dirty: Dirty,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> Self {
        let feed = Self { client, world, dirty, metrics, unsynced: Arc::default(), synced: Arc::default(), stop };
        feed.follow::<KollectScope>(namespaces);
        feed.follow::<KollectProfile>(namespaces);
        feed.follow::<KollectSnapshotSink>(namespaces);
        feed.follow::<KollectDatabaseSink>(namespaces);
        feed.follow::<KollectEventSink>(namespaces);
        feed.follow::<KollectTarget>(namespaces);
        feed.follow::<KollectInventory>(namespaces);
        feed.follow::<KollectConnectionTest>(namespaces);
        if !tenant_mode {
            feed.follow::<KollectClusterScope>(&[]);
            feed.follow::<KollectClusterTarget>(&[]);
            feed.follow::<KollectClusterInventory>(&[]);
        }
        feed
    }

    /// Waits until every kind was listed once, so that no decision is made on half a picture.
    pub async fn synced(&self) {
        loop {
            let notified = self.synced.notified();
            if self.unsynced.load(Ordering::SeqCst) == 0 {
                return;
            }
            notified.await;
        }
    }

    fn follow<K: Held>(&self, namespaces: &[String]) {
        let apis: Vec<Api<K>> = if namespaces.is_empty() {
            vec![K::api(&self.client, None)]
        } else {
            namespaces.iter().map(|ns| K::api(&self.client, Some(ns))).collect()
        };
        for (index, api) in apis.into_iter().enumerate() {
            self.unsynced.fetch_add(1, Ordering::SeqCst);
            let watch = Arc::new(KindWatch {
                api,
                namespace: namespaces.get(index).cloned(),
                world: self.world.clone(),
                dirty: self.dirty.clone(),
                metrics: self.metrics.clone(),
                first_sync: FirstSync {
                    reached: AtomicBool::new(false),
                    unsynced: self.unsynced.clone(),
                    synced: self.synced.clone(),
                },
            });
            supervise::spawn("watch of a Kollect kind", self.stop.clone(), move || {
                let watch = watch.clone();
                async move { watch.run().await }
            });
        }
    }
}

/// The first complete list of one watch, which counts once however often the watch starts.
struct FirstSync {
    reached: AtomicBool,
    unsynced: Arc<AtomicUsize>,
    synced: Arc<Notify>,
}

impl FirstSync {
    fn is_reached(&self) -> bool {
        self.reached.load(Ordering::SeqCst)
    }

    fn reach(&self) {
        if !self.reached.swap(true, Ordering::SeqCst) && self.unsynced.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.synced.notify_waiters();
        }
    }
}

/// The watch of one kind, in one namespace or in all.
struct KindWatch<K> {
    api: Api<K>,
    namespace: Option<String>,
    world: Arc<RwLock<World>>,
    dirty: Dirty,
    metrics: Arc<Metrics>,
    first_sync: FirstSync,
}

impl<K: Held> KindWatch<K> {
    async fn run(&self) {
        let Self { api, namespace, world, dirty, metrics, first_sync } = self;
        let config = watcher::Config::default().timeout(fastrand::u32(WATCH_SECONDS));
        let mut stream = std::pin::pin!(watcher(api.clone(), config));
        let mut listed: BTreeSet<NamespacedName> = BTreeSet::new();
        let mut pause = FIRST_PAUSE;
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    // A list that only begins says nothing yet: it comes before every attempt, also before one that fails.
                    if !matches!(event, watcher::Event::Init) {
                        pause = FIRST_PAUSE;
                    }
                    match event {
                        watcher::Event::Init => listed.clear(),
                        watcher::Event::InitApply(object) => {
                            let key = key_of(&object);
                            listed.insert(key.clone());
                            put(world, dirty, key, Some(object));
                        }
                        watcher::Event::InitDone => {
                            drop_unlisted::<K>(world, dirty, &listed, namespace.as_deref());
                            listed.clear();
                            readable_again(world, dirty, K::KIND);
                            first_sync.reach();
                        }
                        watcher::Event::Apply(object) => put(world, dirty, key_of(&object), Some(object)),
                        watcher::Event::Delete(object) => put::<K>(world, dirty, key_of(&object), None),
                    }
                }
                Err(error) => {
                    let kind = K::KIND.name();
                    let failed = refused(&error);
                    if failed.is_some() {
                        count_failure(metrics, K::KIND);
                    }
                    let forbidden = matches!(failed, Some(kube::Error::Api(status)) if status.code == 403);
                    let absent = matches!(failed, Some(kube::Error::Api(status)) if status.code == 404);
                    if !first_sync.is_reached() && (forbidden || absent) && is_optional(K::KIND) {
                        world.write().unreadable.insert(K::KIND);
                        first_sync.reach();
                    }
                    let error_class = if forbidden { "forbidden" } else { "transient" };
                    tracing::warn!(%error, kind, error_class, "watch of a Kollect kind failed; trying again");
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

/// Kinds without which the rest can be decided: an installation that was upgraded without their CRDs or rights goes on.
/// Scopes, profiles and the other sinks are not among them, because half a picture of those loses or leaks rows.
fn is_optional(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::EventSink | Kind::ConnectionTest | Kind::ClusterScope | Kind::ClusterTarget | Kind::ClusterInventory
    )
}

/// What could not be decided without the kind can be now.
fn readable_again(world: &RwLock<World>, dirty: &Dirty, kind: Kind) {
    let mut world = world.write();
    if !world.unreadable.remove(&kind) {
        return;
    }
    let any = ObjectRef::new(kind, &NamespacedName::new("", ""));
    let affected = world.dependents(&any);
    drop(world);
    for object in affected.into_iter().filter(|object| *object != any) {
        dirty.mark(object);
    }
}

/// A list or watch that could not begin. One that ends or expires later is everyday and goes on where it was.
fn refused(error: &watcher::Error) -> Option<&kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => Some(error),
        _ => None,
    }
}

/// What is not seen here reaches no inventory: sinks, or what decides about its rows.
fn count_failure(metrics: &Metrics, kind: Kind) {
    let watch = match kind {
        Kind::SnapshotSink | Kind::DatabaseSink | Kind::EventSink => "sink",
        _ => "store",
    };
    let labels = ControllerWatch { controller: Kind::Inventory.name().to_owned(), watch: watch.to_owned() };
    metrics.watch_map_list_errors.get_or_create(&labels).inc();
}

fn key_of<K: Held>(object: &K) -> NamespacedName {
    NamespacedName::new(&object.namespace().unwrap_or_default(), &object.name_any())
}

fn put<K: Held>(world: &RwLock<World>, dirty: &Dirty, key: NamespacedName, object: Option<K>) {
    let changed = ObjectRef::new(K::KIND, &key);
    let mut world = world.write();
    // Our own status write comes back as an event; it concerns nobody but the object itself.
    let only_status = match (&object, K::objects(&mut world).get(&key)) {
        (Some(new), Some(old)) => {
            let (new, old) = (new.meta(), old.meta());
            new.generation.is_some()
                && new.generation == old.generation
                && new.labels == old.labels
                && new.annotations == old.annotations
                && new.finalizers == old.finalizers
                && new.deletion_timestamp == old.deletion_timestamp
        }
        _ => false,
    };
    let affected = if only_status { Vec::new() } else { world.dependents(&changed) };
    world.note(key, object.map(Arc::new));
    drop(world);
    for object in affected {
        dirty.mark(object);
    }
}

fn drop_unlisted<K: Held>(
    world: &RwLock<World>,
    dirty: &Dirty,
    listed: &BTreeSet<NamespacedName>,
    namespace: Option<&str>,
) {
    let gone: Vec<NamespacedName> = K::objects(&mut world.write())
        .keys()
        .filter(|key| namespace.is_none_or(|ns| ns == &*key.namespace) && !listed.contains(*key))
        .cloned()
        .collect();
    for key in gone {
        put::<K>(world, dirty, key, None);
    }
}
