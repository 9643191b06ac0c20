//! Secrets that sinks use, watched one by one by name, so that a rotation is noticed and no list right is needed.
//!
//! Where only `get` is granted, a bound Secret is read again every minute, and at once when a backend refuses its
//! content. Values never leave this type but through [`SecretData::get`].

use crate::shared::work_queue::WorkQueue;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kollect_model::Backoff;
use kollect_resources::kinds::{NamespacedName, ObjectRef};
use kollect_resources::secret_data::SecretData;
use kollect_resources::supervise;
use kollect_rules::SecretAgreement;
use kube::api::Api;
use kube::runtime::watcher;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Interval of reads where only `get` is granted.
const REREAD: Duration = Duration::from_mins(1);
const FIRST_REOPEN: Duration = Duration::from_secs(1);
/// Longest pause before a watch that broke is opened again.
const REOPEN: Duration = Duration::from_secs(10);
/// A Secret that was read so lately is not read again because a backend refused it.
const FRESH: Duration = Duration::from_secs(5);
const READ_DEADLINE: Duration = Duration::from_secs(10);

/// What is known of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// Not read yet.
    Unread,
    /// It does not exist.
    Missing,
    /// The API server refuses to show it.
    Denied(String),
    /// It is there.
    Present(StoredSecret),
}

/// A Secret as it was last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSecret {
    /// Keys and values.
    pub data: Arc<SecretData>,
    /// What its owner agrees to from other namespaces.
    pub agreement: SecretAgreement,
    /// It is the token of a ServiceAccount.
    pub is_account_token: bool,
}

struct Entry {
    state: SecretState,
    users: BTreeSet<ObjectRef>,
    read_at: Option<Instant>,
    _watch: DropGuard,
}

/// All Secrets that are bound at the moment.
#[derive(Clone)]
pub struct Secrets {
    client: kube::Client,
    queue: WorkQueue,
    entries: Arc<Mutex<HashMap<NamespacedName, Entry>>>,
}

impl Secrets {
    /// No Secret bound yet. Changes mark the users of a Secret in `queue`.
    pub fn new(client: kube::Client, queue: WorkQueue) -> Self {
        Self { client, queue, entries: Arc::default() }
    }

    /// Sets the Secrets that `user` needs from now on. New ones are watched; unused ones are dropped.
    pub fn bind(&self, user: &ObjectRef, wanted: &[NamespacedName]) {
        let mut entries = self.entries.lock();
        for (name, entry) in entries.iter_mut() {
            if !wanted.contains(name) {
                entry.users.remove(user);
            }
        }
        for name in wanted {
            let entry = entries.entry(name.clone()).or_insert_with(|| {
                let stop = CancellationToken::new();
                let (this, watched) = (self.clone(), name.clone());
                supervise::spawn("watch of a Secret", stop.clone(), move || {
                    let (this, watched) = (this.clone(), watched.clone());
                    async move { this.watch(&watched).await }
                });
                Entry { state: SecretState::Unread, users: BTreeSet::new(), read_at: None, _watch: stop.drop_guard() }
            });
            entry.users.insert(user.clone());
        }
        entries.retain(|_, entry| !entry.users.is_empty());
    }

    /// What is known of a bound Secret.
    pub fn state(&self, name: &NamespacedName) -> SecretState {
        self.entries.lock().get(name).map_or(SecretState::Unread, |entry| entry.state.clone())
    }

    /// Reads the Secrets of `user` now, because a backend refused what they hold: they may have been rotated. A change
    /// marks their users as every change does.
    pub async fn reread(&self, user: &ObjectRef) {
        self.read_older(user, FRESH).await;
    }

    /// Reads the Secrets of `user` now, however lately they were read.
    pub async fn read_now(&self, user: &ObjectRef) {
        self.read_older(user, Duration::ZERO).await;
    }

    async fn read_older(&self, user: &ObjectRef, age: Duration) {
        let due: Vec<NamespacedName> = {
            let entries = self.entries.lock();
            let of_user = entries.iter().filter(|(_, entry)| entry.users.contains(user));
            let stale = of_user.filter(|(_, entry)| entry.read_at.is_none_or(|at| at.elapsed() >= age));
            stale.map(|(name, _)| name.clone()).collect()
        };
        for name in due {
            self.read(&Api::namespaced(self.client.clone(), &name.namespace), &name).await;
        }
    }

    fn note(&self, name: &NamespacedName, state: SecretState) {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(name) else { return };
        entry.read_at = Some(Instant::now());
        if entry.state == state {
            return;
        }
        entry.state = state;
        let users = entry.users.clone();
        drop(entries);
        for user in users {
            self.queue.add(user);
        }
    }

    async fn watch(&self, name: &NamespacedName) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &name.namespace);
        let mut backoff = Backoff::new(FIRST_REOPEN, REREAD);
        loop {
            self.read(&api, name).await;
            let only_this = watcher::Config::default().fields(&format!("metadata.name={}", name.name));
            let mut changes = std::pin::pin!(watcher(api.clone(), only_this));
            let mut seen = false;
            let denied = loop {
                match changes.next().await {
                    Some(Ok(watcher::Event::Init)) => seen = false,
                    Some(Ok(watcher::Event::InitApply(secret) | watcher::Event::Apply(secret))) => {
                        seen = true;
                        self.note(name, present(secret));
                    }
                    Some(Ok(watcher::Event::InitDone)) => {
                        backoff.reset();
                        if !seen {
                            self.note(name, SecretState::Missing);
                        }
                    }
                    Some(Ok(watcher::Event::Delete(_))) => self.note(name, SecretState::Missing),
                    Some(Err(error)) => break is_forbidden(&error),
                    None => break false,
                }
            };
            // A Secret that is missing or may not be read is awaited, so it is tried more often. A right that is missing
            // may have been granted together with the sink, and take a moment to be known.
            let settled = denied && matches!(self.state(name), SecretState::Present(_));
            let ceiling = if settled { REREAD } else { REOPEN };
            tokio::time::sleep(backoff.next_below(ceiling, fastrand::f64())).await;
        }
    }

    /// One GET, which also works with the least of rights.
    async fn read(&self, api: &Api<Secret>, name: &NamespacedName) {
        match tokio::time::timeout(READ_DEADLINE, api.get_opt(&name.name)).await {
            Ok(Ok(Some(secret))) => self.note(name, present(secret)),
            Ok(Ok(None)) => self.note(name, SecretState::Missing),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                let why = format!("the operator may not read Secret {name}; grant it get on that Secret");
                self.note(name, SecretState::Denied(why));
            }
            // Kept as it was: an unreachable API server is no news of the Secret.
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

fn present(secret: Secret) -> SecretState {
    let agreement = SecretAgreement::of(secret.metadata.annotations.as_ref());
    let is_account_token = secret.type_.as_deref() == Some("kubernetes.io/service-account-token");
    let data: SecretData = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
    SecretState::Present(StoredSecret { data: Arc::new(data), agreement, is_account_token })
}

fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code == 403,
        _ => false,
    }
}
