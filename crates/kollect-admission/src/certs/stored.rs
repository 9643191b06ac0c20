//! The certificates as stored in the Secret, and the next step of their rotation. Pure; time is a value.
//!
//! A rotation has four steps, so that API servers can always verify the serving certificate: issue the next pair,
//! publish its CA beside the current one, serve the next pair, remove the old CA.

use super::issue::{IssueError, Issued};
use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const BUNDLE: &str = "ca.crt";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const STATE: &str = "state.json";

/// How long certificates last and steps take, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From issue to expiry. The next one is issued after two thirds.
    pub lifetime: i64,
    /// Upper bound for a change to reach every API server and every replica.
    pub settle: i64,
}

/// Contents of the Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredCertificates {
    pub(crate) names: Vec<String>,
    pub(crate) current: Issued,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<Issued>,
    /// When the next CA was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    published: Option<i64>,
    /// The previous CA, and when the current pair replaced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Previous>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Previous {
    ca: String,
    switched: i64,
}

/// Whether API servers trust the bundle of the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// They have the whole bundle, or there is no configuration.
    Published,
    /// They have another bundle, or it is unknown.
    Unknown,
}

impl StoredCertificates {
    pub(crate) fn fresh(names: &[String], now: i64, timing: Timing) -> Result<Self, IssueError> {
        let current = Issued::make(names, now, timing.lifetime)?;
        Ok(Self { names: names.to_vec(), current, next: None, published: None, previous: None })
    }

    /// Parses a Secret's data; `None` when it is not the format of [`StoredCertificates::data`].
    pub(crate) fn read(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let text = |key: &str| String::from_utf8(data.get(key)?.0.clone()).ok();
        let mut kept: Self = serde_json::from_slice(&data.get(STATE)?.0).ok()?;
        (kept.current.certificate, kept.current.key) = (text(CERTIFICATE)?, text(KEY)?);
        super::pair(&kept.current.certificate, &kept.current.key).ok()?;
        if let Some(next) = &mut kept.next {
            (next.certificate, next.key) = (text(NEXT_CERTIFICATE)?, text(NEXT_KEY)?);
            super::pair(&next.certificate, &next.key).ok()?;
        }
        Some(kept)
    }

    pub(crate) fn data(&self) -> Result<BTreeMap<String, ByteString>, serde_json::Error> {
        let mut data = BTreeMap::new();
        let mut put = |key: &str, text: &[u8]| data.insert(key.to_owned(), ByteString(text.to_vec()));
        put(CERTIFICATE, self.current.certificate.as_bytes());
        put(KEY, self.current.key.as_bytes());
        put(BUNDLE, self.bundle().as_bytes());
        put(STATE, &serde_json::to_vec(self)?);
        if let Some(next) = &self.next {
            put(NEXT_CERTIFICATE, next.certificate.as_bytes());
            put(NEXT_KEY, next.key.as_bytes());
        }
        Ok(data)
    }

    /// Every CA whose certificate a replica may serve.
    pub(crate) fn bundle(&self) -> String {
        let previous = self.previous.as_ref().map(|previous| previous.ca.as_str());
        let next = self.next.as_ref().map(|next| next.ca.as_str());
        [previous, Some(self.current.ca.as_str()), next].into_iter().flatten().collect()
    }

    /// Whether a rotation has started and not ended.
    pub(crate) fn rotating(&self) -> bool {
        self.next.is_some() || self.previous.is_some()
    }

    /// The state after the next step; `None` when nothing is due.
    pub(crate) fn step(
        &self,
        names: &[String],
        trust: Trust,
        now: i64,
        timing: Timing,
    ) -> Result<Option<Self>, IssueError> {
        let expired = now >= self.current.expires;
        if self.names != names || (expired && self.next.as_ref().is_none_or(|next| now >= next.expires)) {
            // API servers refuse the current pair anyway, so no steps are needed.
            return Self::fresh(names, now, timing).map(Some);
        }
        let after = |since: i64| now >= since.saturating_add(timing.settle);
        let due = now >= self.current.issued + (self.current.expires - self.current.issued) / 3 * 2;
        let mut then = self.clone();
        match (&self.next, self.published, &self.previous) {
            (Some(_), None, _) if !expired && trust == Trust::Unknown => return Ok(None),
            (Some(_), None, _) if !expired => then.published = Some(now),
            (Some(_), Some(_), _) if !expired && trust == Trust::Unknown => then.published = None,
            (Some(_), Some(since), _) if !expired && !after(since) => return Ok(None),
            (Some(next), ..) => then.switch_to(next.clone(), now),
            (None, _, Some(previous)) if after(previous.switched) => then.previous = None,
            (None, _, None) if due => then.next = Some(Issued::make(names, now, timing.lifetime)?),
            (None, ..) => return Ok(None),
        }
        Ok(Some(then))
    }

    fn switch_to(&mut self, next: Issued, now: i64) {
        let old = std::mem::replace(&mut self.current, next);
        self.previous = Some(Previous { ca: old.ca, switched: now });
        (self.next, self.published) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing { lifetime: 90_000, settle: 1_000 };

    fn names() -> Vec<String> {
        vec!["kollect-webhook-service.kollect-system.svc".to_owned(), "127.0.0.1".to_owned()]
    }

    fn step(kept: &StoredCertificates, trust: Trust, now: i64) -> Option<StoredCertificates> {
        kept.step(&names(), trust, now, TIMING).unwrap()
    }

    #[test]
    fn a_rotation_publishes_the_next_authority_before_it_serves_and_keeps_the_old_one_for_a_while() {
        let first = StoredCertificates::fresh(&names(), 0, TIMING).unwrap();
        assert!(step(&first, Trust::Published, 59_999).is_none());
        let made = step(&first, Trust::Published, 60_000).unwrap();
        assert_eq!(made.current, first.current);
        assert_eq!(made.bundle().matches("BEGIN CERTIFICATE").count(), 2);
        assert!(step(&made, Trust::Unknown, 60_500).is_none(), "the next authority is not published yet");
        let published = step(&made, Trust::Published, 61_000).unwrap();
        assert!(step(&published, Trust::Published, 61_999).is_none(), "not every API server may know it yet");
        let switched = step(&published, Trust::Published, 62_000).unwrap();
        assert_eq!(Some(&switched.current), made.next.as_ref());
        assert!(switched.bundle().contains(&first.current.ca), "a replica may still serve with the old one");
        assert!(step(&switched, Trust::Published, 62_999).is_none());
        let done = step(&switched, Trust::Published, 63_000).unwrap();
        assert_eq!(done.bundle(), switched.current.ca);
        assert!(!done.rotating() && step(&done, Trust::Published, 63_001).is_none());
    }

    #[test]
    fn an_authority_that_callers_lost_again_is_published_again_before_it_serves() {
        let made = step(&StoredCertificates::fresh(&names(), 0, TIMING).unwrap(), Trust::Published, 60_000).unwrap();
        let published = step(&made, Trust::Published, 60_001).unwrap();
        let lost = step(&published, Trust::Unknown, 70_000).unwrap();
        assert!(step(&lost, Trust::Unknown, 70_001).is_none());
        let again = step(&lost, Trust::Published, 70_002).unwrap();
        assert!(step(&again, Trust::Published, 70_003).is_none());
    }

    #[test]
    fn what_has_ended_or_has_other_names_is_replaced_at_once() {
        let first = StoredCertificates::fresh(&names(), 0, TIMING).unwrap();
        let replaced = step(&first, Trust::Unknown, 90_000).unwrap();
        assert_eq!(replaced.current.issued, 90_000);
        let other = first.step(&["other".to_owned()], Trust::Unknown, 1, TIMING).unwrap().unwrap();
        assert_eq!(other.names, ["other"]);
        let made = step(&first, Trust::Published, 60_000).unwrap();
        let served = step(&made, Trust::Unknown, 90_000).unwrap();
        assert_eq!(Some(served.current), made.next, "the prepared one is used, known or not");
    }

    #[test]
    fn a_secret_reads_back_as_it_was_written_and_a_foreign_one_does_not() {
        let made = step(&StoredCertificates::fresh(&names(), 0, TIMING).unwrap(), Trust::Published, 60_000).unwrap();
        let mut data = made.data().unwrap();
        assert_eq!(StoredCertificates::read(&data), Some(made));
        let state = String::from_utf8(data[STATE].0.clone()).unwrap();
        assert!(!state.contains("PRIVATE"), "keys have entries of their own");
        data.insert(KEY.to_owned(), ByteString(b"nonsense".to_vec()));
        assert_eq!(StoredCertificates::read(&data), None);
        assert_eq!(StoredCertificates::read(&BTreeMap::new()), None);
    }
}
