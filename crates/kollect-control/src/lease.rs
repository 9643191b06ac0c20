//! Leader election on one Lease, and the right to write that follows from it.
//!
//! Safety depends on it: the right ends by the boot-time clock, measured from when the last good renewal
//! was *sent*, and every write carries when the leadership began as a fence. It must not know what is written.

use crate::clock::{boot_time, fence_of, precise_timestamp, time_of};
pub use crate::write_permit::WritePermit;
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kollect_export::WriteRight as _;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::watcher;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Name of the Lease, the same as in earlier releases so that old and new replicas exclude each other.
pub const LEASE_NAME: &str = "3274ac8a.kollect.dev";

/// Timing and identity of one candidate.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Who we are: the pod's UID, so that a restarted container takes over its own lease at once.
    pub identity: String,
    /// How long others wait before they take a lease that is not renewed.
    pub lease_duration: Duration,
    /// How long the leader may write after its last good renewal.
    pub renew_deadline: Duration,
    /// Pause after a failed renewal, and between two reads of a standby.
    pub retry_period: Duration,
}

/// Why an election ended.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another process holds the lease, or it could not be renewed in time.
    #[error("leader election lost: {0}")]
    Lost(String),
}

/// What was last seen of the Lease, and when.
struct Observed {
    lease: Option<Lease>,
    since: Instant,
}

impl Observed {
    fn version(&self) -> Option<&str> {
        self.lease.as_ref().and_then(|l| l.metadata.resource_version.as_deref())
    }

    fn note(&mut self, lease: Option<Lease>) {
        let new = lease.as_ref().and_then(|l| l.metadata.resource_version.clone());
        if new.as_deref() != self.version() {
            self.since = Instant::now();
        }
        self.lease = lease;
    }

    fn holder(&self) -> &str {
        self.spec().and_then(|s| s.holder_identity.as_deref()).unwrap_or_default()
    }

    fn spec(&self) -> Option<&LeaseSpec> {
        self.lease.as_ref().and_then(|l| l.spec.as_ref())
    }

    /// When a standby may take the lease: at once if it is free or our own, else a full lease duration after the
    /// last change that *we* saw, so that clocks of different machines are never compared.
    fn free_at(&self, identity: &str, fallback: Duration) -> Instant {
        let holder = self.holder();
        if holder.is_empty() || holder == identity {
            return Instant::now();
        }
        let seconds = self.spec().and_then(|s| s.lease_duration_seconds).and_then(|s| u64::try_from(s).ok());
        self.since + seconds.map_or(fallback, Duration::from_secs)
    }
}

/// Identifies one leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leadership {
    /// When it began; later than every one before it. Backends refuse writers of an earlier one than they have seen. The
    /// time and not a count, so that it also grows when the Lease was deleted with all its history.
    began: Timestamp,
    /// How often the holder changed.
    transitions: i32,
}

impl Leadership {
    fn after(last: Option<&LeaseSpec>, identity: &str, now: Timestamp) -> Self {
        let before = last.and_then(|spec| spec.acquire_time.as_ref());
        let earliest = before.and_then(|time| time.0.checked_add(SignedDuration::from_micros(1)).ok());
        let transitions = last.map_or(0, |spec| {
            let same = spec.holder_identity.as_deref() == Some(identity);
            spec.lease_transitions.unwrap_or(0).saturating_add(i32::from(!same))
        });
        Self { began: earliest.map_or(now, |earliest| earliest.max(now)), transitions }
    }

    /// The same leadership with a fence above one that a backend holds.
    fn above(self, held: Option<u64>) -> Self {
        let above = held.and_then(|held| time_of(held.checked_add(1)?));
        Self { began: above.map_or(self.began, |above| above.max(self.began)), ..self }
    }
}

/// The next item of a stream, not asked for before `when`.
async fn next_after<S: futures_util::Stream + Unpin>(when: Instant, stream: &mut S) -> Option<S::Item> {
    tokio::time::sleep_until(when).await;
    stream.next().await
}

/// One candidate's election.
pub struct Election {
    api: Api<Lease>,
    settings: LeaseSettings,
    permit: Arc<WritePermit>,
    leading: watch::Sender<bool>,
    observed: Observed,
    /// The latest that was written, or tried.
    leadership: Option<Leadership>,
}

impl Election {
    /// A candidate that has not run yet, its right to write, and a signal that turns `true` when it leads.
    pub fn new(client: kube::Client, settings: LeaseSettings) -> (Self, Arc<WritePermit>, watch::Receiver<bool>) {
        let permit = Arc::new(WritePermit::default());
        let (leading, signal) = watch::channel(false);
        let api = Api::namespaced(client, &settings.namespace);
        let observed = Observed { lease: None, since: Instant::now() };
        (Self { api, settings, permit: permit.clone(), leading, observed, leadership: None }, permit, signal)
    }

    /// Runs until `stop` (then a held lease is released) or until leadership is lost.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), LeaseError> {
        let only_ours = watcher::Config::default().fields(&format!("metadata.name={LEASE_NAME}"));
        let mut changes = std::pin::pin!(watcher(self.api.clone(), only_ours));
        let mut watching = true;
        let mut watch_again = Instant::now();
        self.refresh().await;
        let mut next = Instant::now();
        let permit = self.permit.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    self.release().await;
                    return Ok(());
                }
                event = next_after(watch_again, &mut changes), if watching => match event {
                    Some(Ok(watcher::Event::Apply(lease) | watcher::Event::InitApply(lease))) => {
                        if *self.leading.borrow() {
                            self.check_against(&lease).await?;
                        } else {
                            self.observed.note(Some(lease));
                            next = self.when_to_try();
                        }
                    }
                    Some(Ok(watcher::Event::Delete(_))) => {
                        self.observed.note(None);
                        next = Instant::now();
                    }
                    Some(Ok(_)) => {}
                    // Without the right to watch, a read every retry period still works.
                    Some(Err(_)) => watch_again = Instant::now() + self.settings.retry_period,
                    None => watching = false,
                },
                // Only a renewal proves that this process still leads: that of a former leader fails.
                () = permit.wait_outranked(), if *self.leading.borrow() => next = self.renew().await?,
                () = tokio::time::sleep_until(next) => {
                    next = if *self.leading.borrow() { self.renew().await? } else { self.try_acquire().await };
                }
            }
        }
    }

    fn when_to_try(&self) -> Instant {
        self.observed.free_at(&self.settings.identity, self.settings.lease_duration)
    }

    /// The watch may lag behind our own writes: another holder counts only if a read confirms it.
    async fn check_against(&mut self, seen: &Lease) -> Result<(), LeaseError> {
        let holder = seen.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        if holder == self.settings.identity {
            return Ok(());
        }
        self.refresh().await;
        self.check_still_ours()
    }

    fn check_still_ours(&self) -> Result<(), LeaseError> {
        if self.observed.holder() == self.settings.identity {
            return Ok(());
        }
        self.permit.end();
        self.leading.send_replace(false);
        Err(LeaseError::Lost(format!("{} holds the Lease {LEASE_NAME} now", self.observed.holder())))
    }

    async fn refresh(&mut self) {
        if let Ok(Ok(lease)) = tokio::time::timeout(self.settings.retry_period, self.api.get_opt(LEASE_NAME)).await {
            self.observed.note(lease);
        }
    }

    /// Acquires the lease if it is free; returns when to try again.
    async fn try_acquire(&mut self) -> Instant {
        let free_at = self.when_to_try();
        if free_at > Instant::now() {
            let look = Instant::now() + self.settings.retry_period;
            self.refresh().await;
            return self.when_to_try().min(look).max(Instant::now() + Duration::from_millis(10));
        }
        let next = Leadership::after(self.observed.spec(), &self.settings.identity, precise_timestamp());
        match self.put(next, &self.settings.identity.clone()).await {
            Ok(()) => {
                self.leadership = Some(next);
                tracing::info!(
                    identity = %self.settings.identity,
                    transitions = next.transitions,
                    fence = fence_of(next.began),
                    "became leader"
                );
                self.leading.send_replace(true);
                Instant::now() + self.settings.lease_duration / 4
            }
            Err(error) => {
                tracing::debug!(%error, "lease not acquired");
                self.refresh().await;
                Instant::now() + self.settings.retry_period.mul_f64(0.5 + fastrand::f64())
            }
        }
    }

    async fn renew(&mut self) -> Result<Instant, LeaseError> {
        let Some(ours) = self.leadership else {
            return Err(LeaseError::Lost("this process never held the Lease".to_owned()));
        };
        let next = ours.above(self.permit.outranked_by());
        // Also when the Lease was deleted: the same leadership goes on.
        match self.put(next, &self.settings.identity.clone()).await {
            Ok(()) => {
                if next != ours {
                    tracing::warn!(
                        fence = fence_of(next.began),
                        "a sink holds a higher fence than this leadership: was the \
                        clock set back? continuing above it"
                    );
                }
                self.leadership = Some(next);
                Ok(Instant::now() + self.settings.lease_duration / 4)
            }
            Err(error) => {
                tracing::warn!(%error, error_class = "transient", "lease not renewed");
                self.refresh().await;
                self.check_still_ours()?;
                if self.permit.may_write() {
                    return Ok(Instant::now() + self.settings.retry_period);
                }
                self.leading.send_replace(false);
                Err(LeaseError::Lost(format!("the Lease {LEASE_NAME} could not be renewed in time: {error}")))
            }
        }
    }

    /// One PUT guarded by the version that was last seen. The right to write counts from before it was sent.
    async fn put(&mut self, leadership: Leadership, holder: &str) -> Result<(), String> {
        let sent = boot_time();
        let seconds = i32::try_from(self.settings.lease_duration.as_secs().max(1)).unwrap_or(i32::MAX);
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(LEASE_NAME.to_owned()),
                namespace: Some(self.settings.namespace.clone()),
                resource_version: self.observed.version().map(str::to_owned),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: Some(if holder.is_empty() { 1 } else { seconds }),
                acquire_time: Some(MicroTime(leadership.began)),
                renew_time: Some(MicroTime(precise_timestamp())),
                lease_transitions: Some(leadership.transitions),
                ..LeaseSpec::default()
            }),
        };
        let params = PostParams::default();
        let request = async {
            if lease.metadata.resource_version.is_some() {
                self.api.replace(LEASE_NAME, &params, &lease).await
            } else {
                self.api.create(&params, &lease).await
            }
        };
        let answer = tokio::time::timeout(self.settings.retry_period.max(Duration::from_secs(2)), request).await;
        let written = answer.map_err(|_| "the API server did not answer".to_owned())?.map_err(|e| e.to_string())?;
        self.observed.note(Some(written));
        if !holder.is_empty() {
            self.permit.grant(sent + self.settings.renew_deadline, fence_of(leadership.began));
        }
        Ok(())
    }

    /// Gives the lease back, so that a successor need not wait for it to expire.
    async fn release(&mut self) {
        self.permit.end();
        if !*self.leading.borrow() {
            return;
        }
        self.leading.send_replace(false);
        let Some(ours) = self.leadership else { return };
        if let Err(error) = self.put(ours, "").await {
            tracing::warn!(%error, error_class = "transient", "lease not released; a successor waits until it expires");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, version: &str) -> Lease {
        let mut lease = Lease::default();
        lease.metadata.resource_version = Some(version.to_owned());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(60),
            ..LeaseSpec::default()
        });
        lease
    }

    #[test]
    fn a_new_leadership_begins_after_every_one_before_even_without_a_lease() {
        let at = |micros: i64| Timestamp::from_microsecond(1_800_000_000_000_000 + micros).unwrap();
        let held = |holder: &str, began: i64, transitions: i32| LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            acquire_time: Some(MicroTime(at(began))),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        };
        let after = |last: Option<LeaseSpec>, now: i64| Leadership::after(last.as_ref(), "me", at(now));
        assert_eq!(after(None, 5), Leadership { began: at(5), transitions: 0 });
        assert_eq!(after(Some(held("other", 3, 7)), 5), Leadership { began: at(5), transitions: 8 });
        assert_eq!(after(Some(held("", 3, 7)), 5), Leadership { began: at(5), transitions: 8 });
        assert_eq!(after(Some(held("me", 3, 7)), 5), Leadership { began: at(5), transitions: 7 }, "a restart");
        // The clock of the one before may be ahead of ours.
        assert_eq!(after(Some(held("other", 9, 7)), 5).began, at(10));
        let (first, second) = (after(None, 5), after(Some(held("me", 5, 0)), 5));
        assert!(fence_of(first.began) < fence_of(second.began));
        assert!(fence_of(second.began) < fence_of(after(None, 1_000).began), "the Lease was deleted");
    }

    #[test]
    fn a_leadership_whose_clock_was_set_back_continues_one_above_the_fence_of_a_backend() {
        let now = Timestamp::from_microsecond(1_800_000_000_000_000).unwrap();
        let ours = Leadership { began: now, transitions: 3 };
        let own = fence_of(now);
        assert_eq!(ours.above(None), ours);
        assert_eq!(ours.above(Some(own - 5)), ours);
        assert_eq!(fence_of(ours.above(Some(own)).began), own + 1);
        assert_eq!(fence_of(ours.above(Some(own + 3_600_000_000)).began), own + 3_600_000_001);
        assert_eq!(ours.above(Some(u64::MAX)), ours);
    }

    #[tokio::test]
    async fn a_standby_waits_a_full_lease_after_the_last_change_it_saw() {
        let start = Instant::now();
        let mut seen = Observed { lease: None, since: start };
        seen.note(Some(lease("other", "5")));
        assert!(seen.free_at("me", Duration::from_secs(1)) >= start + Duration::from_mins(1));
        assert!(seen.free_at("other", Duration::from_secs(1)) <= Instant::now());
        seen.note(Some(lease("", "6")));
        assert!(seen.free_at("me", Duration::from_secs(1)) <= Instant::now());
    }
}
