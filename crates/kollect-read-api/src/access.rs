//! Who may read: the API server says it, for the caller's own token.
//!
//! Separate so that tests bring their own answers. A token is never kept, only its hash; nothing here logs one.

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

/// Time for both questions to the API server.
const ANSWER: Duration = Duration::from_secs(5);
/// Most answers that are remembered.
const REMEMBERED: usize = 1024;
/// Longer ones are no tokens.
const LONGEST_TOKEN: usize = 16 << 10;

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// `get` or `list`.
    pub verb: &'static str,
    /// `kollectinventories` or `kollecttargets`.
    pub resource: &'static str,
    /// Empty for all namespaces.
    pub namespace: String,
    /// Empty for all objects.
    pub name: String,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The token is not one that the API server knows.
    Unauthorized,
    /// The API server says that they may not.
    Forbidden,
    /// The API server could not be asked.
    Failed,
    /// The caller's address brought too many tokens that the API server does not know.
    TooMany,
}

/// Decides who may read.
#[async_trait]
pub trait Access: Send + Sync + 'static {
    /// Whether a token is needed at all.
    fn needs_token(&self) -> bool {
        true
    }

    /// Whether the holder of the token, who calls from this address, may do this.
    async fn check(&self, caller: IpAddr, token: &str, ask: &Ask) -> Result<(), Refusal>;
}

/// Everybody may read everything.
#[derive(Debug)]
pub struct Open;

#[async_trait]
impl Access for Open {
    fn needs_token(&self) -> bool {
        false
    }

    async fn check(&self, _: IpAddr, _: &str, _: &Ask) -> Result<(), Refusal> {
        Ok(())
    }
}

/// What was decided, and when.
type Answer = (Instant, Result<(), Refusal>);

/// Asks the API server with a TokenReview and a SubjectAccessReview.
pub struct KubernetesAccess {
    client: Client,
    /// How long an answer counts; zero for never again.
    remember: Duration,
    answers: Mutex<Answers>,
    callers: Mutex<Callers>,
}

/// Answers by the hash of token and question. Those of unknown tokens have a space of their own, so that they never
/// displace those of callers with a right.
#[derive(Default)]
struct Answers {
    known: HashMap<[u8; 32], Answer>,
    unknown: HashMap<[u8; 32], Answer>,
}

impl Answers {
    fn get(&self, key: &[u8; 32]) -> Option<&Answer> {
        self.known.get(key).or_else(|| self.unknown.get(key))
    }

    /// Keeps an answer; where there is no room, without the oldest ones.
    fn insert(&mut self, key: [u8; 32], answer: Answer, remember: Duration) {
        let space = if answer.1 == Err(Refusal::Unauthorized) { &mut self.unknown } else { &mut self.known };
        if space.len() >= REMEMBERED {
            space.retain(|_, (at, _)| at.elapsed() < remember);
        }
        if space.len() >= REMEMBERED {
            // An eighth at once, so that a full space is not sorted for every answer.
            let mut times: Vec<Instant> = space.values().map(|(at, _)| *at).collect();
            times.sort_unstable();
            let limit = times[REMEMBERED / 8];
            space.retain(|_, (at, _)| *at > limit);
        }
        space.insert(key, answer);
    }
}

impl KubernetesAccess {
    /// Asks with `client`, which needs the right to create both reviews.
    pub fn new(client: Client, remember: Duration) -> Self {
        Self { client, remember, answers: Mutex::default(), callers: Mutex::default() }
    }

    fn remembered(&self, key: &[u8; 32]) -> Option<Result<(), Refusal>> {
        let answers = self.answers.lock();
        let (at, answer) = answers.get(key)?;
        (at.elapsed() < self.remember).then_some(*answer)
    }

    fn remember(&self, key: [u8; 32], answer: Result<(), Refusal>) {
        // A failure says nothing about the caller.
        if self.remember.is_zero() || answer == Err(Refusal::Failed) {
            return;
        }
        self.answers.lock().insert(key, (Instant::now(), answer), self.remember);
    }

    async fn ask(&self, token: &str, ask: &Ask) -> Result<(), Refusal> {
        let user = self.user(token).await?;
        let attributes = ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some(ask.resource.to_owned()),
            verb: Some(ask.verb.to_owned()),
            namespace: Some(ask.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            name: Some(ask.name.clone()).filter(|name| !name.is_empty()),
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
    async fn check(&self, caller: IpAddr, token: &str, ask: &Ask) -> Result<(), Refusal> {
        if token.len() > LONGEST_TOKEN {
            return Err(Refusal::Unauthorized);
        }
        let key = key_of(token, ask);
        if let Some(answer) = self.remembered(&key) {
            return answer;
        }
        if !self.callers.lock().may_ask(caller, Instant::now()) {
            return Err(Refusal::TooMany);
        }
        let answer = timeout(ANSWER, self.ask(token, ask)).await.unwrap_or(Err(Refusal::Failed));
        if answer == Err(Refusal::Unauthorized) {
            self.callers.lock().refused(caller, Instant::now());
        }
        self.remember(key, answer);
        answer
    }
}

fn key_of(token: &str, ask: &Ask) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [token, ask.verb, ask.resource, &ask.namespace, &ask.name] {
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
                &Ask { verb: "get", resource: "kollectinventories", namespace: String::new(), name: String::new() },
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
        let ask = |namespace: &str, name: &str| Ask {
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
            key_of("t", &Ask { verb: "list", ..ask("shop", "daily") }),
            key_of("t", &Ask { resource: "kollecttargets", ..ask("shop", "daily") }),
        ];
        let different: std::collections::HashSet<_> = all.into_iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
