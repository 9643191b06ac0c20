//! Authorizes readers: a TokenReview and a SubjectAccessReview for the caller's own token.
//!
//! Tokens are neither kept nor logged; decisions are cached under a hash.

use crate::callers::Callers;
use async_trait::async_trait;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kollect_api::GROUP;
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Deadline of both reviews together.
const ANSWER: Duration = Duration::from_secs(5);
/// Most decisions per cache.
const REMEMBERED: usize = 1024;
/// Longer ones are no tokens.
const LONGEST_TOKEN: usize = 16 << 10;

/// The right that a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredRight {
    /// `get` or `list`.
    pub verb: &'static str,
    /// `kollectinventories` or `kollecttargets`.
    pub resource: &'static str,
    /// Empty for all namespaces.
    pub namespace: String,
    /// Empty for all objects.
    pub name: String,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The TokenReview rejects the token.
    Unauthorized,
    /// The SubjectAccessReview denies it.
    Forbidden,
    /// A review failed.
    Failed,
    /// The caller's address sent too many rejected tokens.
    TooMany,
}

/// Decides who may read.
#[async_trait]
pub trait Access: Send + Sync + 'static {
    /// Whether a token is needed at all.
    fn needs_token(&self) -> bool {
        true
    }

    /// Whether the holder of the token, calling from this address, has the right.
    async fn check(&self, caller: IpAddr, token: &str, right: &RequiredRight) -> Result<(), Refusal>;
}

/// Access without authorization.
#[derive(Debug)]
pub struct OpenAccess;

#[async_trait]
impl Access for OpenAccess {
    fn needs_token(&self) -> bool {
        false
    }

    async fn check(&self, _: IpAddr, _: &str, _: &RequiredRight) -> Result<(), Refusal> {
        Ok(())
    }
}

/// A decision and its time.
type Answer = (Instant, Result<(), Refusal>);

/// Access by the RBAC of the cluster: a TokenReview, then a SubjectAccessReview.
pub struct KubernetesAccess {
    client: Client,
    /// How long a decision is reused; zero disables the cache.
    remember: Duration,
    answers: Mutex<Answers>,
    callers: Mutex<Callers>,
}

/// Decisions by the hash of token and right. Unknown tokens have a cache of their own, so that they never evict the
/// decisions of authenticated callers.
#[derive(Default)]
struct Answers {
    known: HashMap<[u8; 32], Answer>,
    unknown: HashMap<[u8; 32], Answer>,
}

impl Answers {
    fn get(&self, key: &[u8; 32]) -> Option<&Answer> {
        self.known.get(key).or_else(|| self.unknown.get(key))
    }

    /// Inserts a decision; a full cache first evicts expired ones, then the oldest eighth.
    fn insert(&mut self, key: [u8; 32], answer: Answer, remember: Duration) {
        let space = if answer.1 == Err(Refusal::Unauthorized) { &mut self.unknown } else { &mut self.known };
        if space.len() >= REMEMBERED {
            space.retain(|_, (at, _)| at.elapsed() < remember);
        }
        if space.len() >= REMEMBERED {
            // An eighth at once, so that a full cache is not sorted for every decision.
            let mut times: Vec<Instant> = space.values().map(|(at, _)| *at).collect();
            times.sort_unstable();
            let limit = times[REMEMBERED / 8];
            space.retain(|_, (at, _)| *at > limit);
        }
        space.insert(key, answer);
    }
}

impl KubernetesAccess {
    /// `client` needs the right to create both reviews.
    pub fn new(client: Client, remember: Duration) -> Self {
        Self { client, remember, answers: Mutex::default(), callers: Mutex::default() }
    }

    fn remembered(&self, key: &[u8; 32]) -> Option<Result<(), Refusal>> {
        let answers = self.answers.lock();
        let (at, answer) = answers.get(key)?;
        (at.elapsed() < self.remember).then_some(*answer)
    }

    fn remember(&self, key: [u8; 32], answer: Result<(), Refusal>) {
        // A failed review is no decision about the caller.
        if self.remember.is_zero() || answer == Err(Refusal::Failed) {
            return;
        }
        self.answers.lock().insert(key, (Instant::now(), answer), self.remember);
    }

    async fn review(&self, token: &str, right: &RequiredRight) -> Result<(), Refusal> {
        let user = self.user(token).await?;
        let attributes = ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some(right.resource.to_owned()),
            verb: Some(right.verb.to_owned()),
            namespace: Some(right.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            name: Some(right.name.clone()).filter(|name| !name.is_empty()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            user: user.username,
            uid: user.uid,
            groups: user.groups,
            extra: user.extra,
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        match api.create(&PostParams::default(), &review).await {
            Ok(answer) => answer.status.filter(|status| status.allowed).map(|_| ()).ok_or(Refusal::Forbidden),
            Err(error) => {
                tracing::warn!(%error, "asking for the rights of a caller of the read API; is it allowed to create subjectaccessreviews?");
                Err(Refusal::Failed)
            }
        }
    }

    async fn user(&self, token: &str) -> Result<UserInfo, Refusal> {
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let review = TokenReview { spec, ..TokenReview::default() };
        let status = match api.create(&PostParams::default(), &review).await {
            Ok(answer) => answer.status.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "asking who calls the read API; is it allowed to create tokenreviews?");
                return Err(Refusal::Failed);
            }
        };
        match status.user {
            Some(user) if status.authenticated == Some(true) => Ok(user),
            _ => Err(Refusal::Unauthorized),
        }
    }
}

#[async_trait]
impl Access for KubernetesAccess {
    async fn check(&self, caller: IpAddr, token: &str, right: &RequiredRight) -> Result<(), Refusal> {
        if token.len() > LONGEST_TOKEN {
            return Err(Refusal::Unauthorized);
        }
        let key = key_of(token, right);
        if let Some(answer) = self.remembered(&key) {
            return answer;
        }
        if !self.callers.lock().may_ask(caller, Instant::now()) {
            return Err(Refusal::TooMany);
        }
        let answer = timeout(ANSWER, self.review(token, right)).await.unwrap_or(Err(Refusal::Failed));
        if answer == Err(Refusal::Unauthorized) {
            self.callers.lock().refused(caller, Instant::now());
        }
        self.remember(key, answer);
        answer
    }
}

fn key_of(token: &str, right: &RequiredRight) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [token, right.verb, right.resource, &right.namespace, &right.name] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_tokens_displace_no_answer_of_a_known_caller_and_the_oldest_goes_first() {
        let remember = Duration::from_secs(30);
        let key = |n: usize| {
            key_of(
                &n.to_string(),
                &RequiredRight {
                    verb: "get",
                    resource: "kollectinventories",
                    namespace: String::new(),
                    name: String::new(),
                },
            )
        };
        let start = Instant::now();
        let mut answers = Answers::default();
        answers.insert(key(0), (start, Ok(())), remember);
        for n in 1..3 * REMEMBERED {
            let at = start + Duration::from_nanos(n as u64);
            answers.insert(key(n), (at, Err(Refusal::Unauthorized)), remember);
        }
        assert!(answers.get(&key(0)).is_some() && answers.unknown.len() <= REMEMBERED);
        assert!(answers.get(&key(1)).is_none() && answers.get(&key(3 * REMEMBERED - 1)).is_some());
        for n in 0..2 * REMEMBERED {
            let at = start + Duration::from_nanos(n as u64);
            answers.insert(key(n), (at, Err(Refusal::Forbidden)), remember);
        }
        assert!(answers.known.len() <= REMEMBERED && answers.known.len() >= REMEMBERED / 2, "not emptied at once");
        assert!(answers.known.contains_key(&key(2 * REMEMBERED - 1)));
    }

    #[test]
    fn answers_are_remembered_for_the_same_question_only() {
        let ask = |namespace: &str, name: &str| RequiredRight {
            verb: "get",
            resource: "kollectinventories",
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let all = [
            key_of("t", &ask("shop", "daily")),
            key_of("t", &ask("shopd", "aily")),
            key_of("t", &ask("shop", "")),
            key_of("u", &ask("shop", "daily")),
            key_of("t", &RequiredRight { verb: "list", ..ask("shop", "daily") }),
            key_of("t", &RequiredRight { resource: "kollecttargets", ..ask("shop", "daily") }),
        ];
        let different: std::collections::HashSet<_> = all.into_iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
