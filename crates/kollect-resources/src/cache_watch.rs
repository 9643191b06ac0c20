//! Keeps the [`ResourceCache`] equal to the API server: one watch per Kollect kind (and namespace, where confined).

use crate::cache::{Cached, ResourceCache};
use crate::kinds::{Kind, NamespacedName, ObjectRef, Presence, Scope};
use crate::supervise;
use futures_util::StreamExt;
use kollect_model::Backoff;
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

/// Receives what the watches of the cache find.
pub trait CacheObserver: Send + Sync + 'static {
    /// An object must be reconciled, because it or what it depends on changed.
    fn changed(&self, object: ObjectRef);
    /// A list or watch could not begin.
    fn list_failed(&self, kind: Kind);
}

/// The watches that fill the cache. They end with the token that they were started with.
pub struct CacheWatches {
    client: Client,
    cache: Arc<RwLock<ResourceCache>>,
    observer: Arc<dyn CacheObserver>,
    unsynced: Arc<AtomicUsize>,
    synced: Arc<Notify>,
    stop: CancellationToken,
}

impl CacheWatches {
    /// Starts the watches. With `namespaces` only those are watched, which a namespaced Role allows; `tenant_mode` leaves
    /// out the cluster-scoped kinds.
    pub fn start(
        client: Client,
        namespaces: &[String],
        tenant_mode: bool,
        cache: Arc<RwLock<ResourceCache>>,
        observer: Arc<dyn CacheObserver>,
        stop: CancellationToken,
    ) -> Self {
        let watches = Self { client, cache, observer, unsynced: Arc::default(), synced: Arc::default(), stop };
        macro_rules! watch_all {
            ($($kind:ident $object:ident $field:ident $controller:literal $plural:literal $scope:ident $presence:ident;)+) => {
                $(watches.watch::<kollect_api::$object>(namespaces, tenant_mode);)+
            };
        }
        crate::for_each_kind!(watch_all);
        watches
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

    fn watch<K: Cached>(&self, namespaces: &[String], tenant_mode: bool) {
        let namespaces: Vec<Option<String>> = match K::KIND.scope() {
            Scope::Cluster if tenant_mode => return,
            Scope::Namespaced if !namespaces.is_empty() => namespaces.iter().cloned().map(Some).collect(),
            Scope::Namespaced | Scope::Cluster => vec![None],
        };
        for namespace in namespaces {
            self.unsynced.fetch_add(1, Ordering::SeqCst);
            let watch = Arc::new(KindWatch {
                api: K::api(&self.client, namespace.as_deref()),
                namespace,
                cache: self.cache.clone(),
                observer: self.observer.clone(),
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
    cache: Arc<RwLock<ResourceCache>>,
    observer: Arc<dyn CacheObserver>,
    first_sync: FirstSync,
}

impl<K: Cached> KindWatch<K> {
    async fn run(&self) {
        let config = watcher::Config::default().timeout(fastrand::u32(WATCH_SECONDS));
        let mut stream = std::pin::pin!(watcher(self.api.clone(), config));
        let mut listed: BTreeSet<NamespacedName> = BTreeSet::new();
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    // `Init` precedes every attempt to list, also one that fails.
                    if !matches!(event, watcher::Event::Init) {
                        backoff.reset();
                    }
                    self.handle(event, &mut listed);
                }
                Err(error) => {
                    self.failed(&error);
                    tokio::time::sleep(backoff.next(fastrand::f64())).await;
                }
            }
        }
    }

    fn handle(&self, event: watcher::Event<K>, listed: &mut BTreeSet<NamespacedName>) {
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(object) => {
                let key = key_of(&object);
                listed.insert(key.clone());
                self.set(key, Some(object));
            }
            watcher::Event::InitDone => {
                self.remove_unlisted(listed);
                listed.clear();
                self.mark_readable();
                self.first_sync.reach();
            }
            watcher::Event::Apply(object) => self.set(key_of(&object), Some(object)),
            watcher::Event::Delete(object) => self.set(key_of(&object), None),
        }
    }

    fn failed(&self, error: &watcher::Error) {
        let failed = refused(error);
        if failed.is_some() {
            self.observer.list_failed(K::KIND);
        }
        let code = match failed {
            Some(kube::Error::Api(status)) => status.code,
            _ => 0,
        };
        if !self.first_sync.is_reached() && matches!(code, 403 | 404) && K::KIND.presence() == Presence::Optional {
            self.cache.write().unreadable.insert(K::KIND);
            self.first_sync.reach();
        }
        let error_class = if code == 403 { "forbidden" } else { "transient" };
        tracing::warn!(%error, kind = K::KIND.name(), error_class, "watch of a Kollect kind failed; trying again");
    }

    /// What could not be decided without the kind can be now.
    fn mark_readable(&self) {
        let mut cache = self.cache.write();
        if !cache.unreadable.remove(&K::KIND) {
            return;
        }
        let any = ObjectRef::new(K::KIND, &NamespacedName::new("", ""));
        let affected = cache.dependents(&any);
        drop(cache);
        for object in affected.into_iter().filter(|object| *object != any) {
            self.observer.changed(object);
        }
    }

    fn set(&self, key: NamespacedName, object: Option<K>) {
        let changed = ObjectRef::new(K::KIND, &key);
        let mut cache = self.cache.write();
        // A status write of this operator returns as an event, and changes no decision.
        let own =
            matches!((&object, K::objects(&cache).get(&key)), (Some(new), Some(old)) if differ_in_status(new, old));
        let affected = if own { Vec::new() } else { cache.dependents(&changed) };
        cache.set(key, object.map(Arc::new));
        drop(cache);
        for object in affected {
            self.observer.changed(object);
        }
    }

    fn remove_unlisted(&self, listed: &BTreeSet<NamespacedName>) {
        let of_this = |key: &&NamespacedName| self.namespace.as_deref().is_none_or(|ns| ns == &*key.namespace);
        let gone: Vec<NamespacedName> = K::objects(&self.cache.read())
            .keys()
            .filter(of_this)
            .filter(|key| !listed.contains(*key))
            .cloned()
            .collect();
        for key in gone {
            self.set(key, None);
        }
    }
}

/// A list or watch that could not begin. One that ends or expires later is everyday, and resumes where it was.
fn refused(error: &watcher::Error) -> Option<&kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => Some(error),
        _ => None,
    }
}

fn key_of<K: Cached>(object: &K) -> NamespacedName {
    NamespacedName::new(&object.namespace().unwrap_or_default(), &object.name_any())
}

/// Whether nothing that another object can depend on changed.
fn differ_in_status<K: Cached>(new: &K, old: &K) -> bool {
    let (new, old) = (new.meta(), old.meta());
    new.generation.is_some()
        && new.generation == old.generation
        && new.labels == old.labels
        && new.annotations == old.annotations
        && new.finalizers == old.finalizers
        && new.deletion_timestamp == old.deletion_timestamp
}
