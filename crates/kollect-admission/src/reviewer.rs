//! One review from the body of a request to its answer, within a deadline and a bounded amount of memory.
//!
//! Separate from the server so that it knows no TLS, and from the protocol so that that stays pure.

use crate::facts::{FactError, FactSource, Gathered};
use crate::pool::{Lost, Pool};
use crate::protocol::{Question, parse};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body;
use kollect_rules::{Needs, Review, RuleSettings, needs, review};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// The largest body that is read. The API server stores objects of up to about 1.5 MiB and sends old and new.
pub(crate) const MAX_BODY: usize = 8 << 20;
/// From the first byte of a request to its answer.
const DEADLINE: Duration = Duration::from_secs(2);
const AT_ONCE: usize = 64;
/// Bodies in memory at the same time, counted in KiB; an object takes several times its text.
const BODIES_KIB: usize = 32 << 10;

/// The reviewer could not be started.
#[derive(Debug, thiserror::Error)]
#[error("starting the threads that review objects: {0}")]
pub struct ReviewerError(#[source] std::io::Error);

/// Reviews objects by the rules.
pub struct Reviewer {
    settings: RuleSettings,
    facts: Arc<dyn FactSource>,
    pool: Pool,
    reviews: Semaphore,
    bodies: Semaphore,
    deadline: Duration,
}

/// What goes back.
pub(crate) enum Reply {
    /// An AdmissionReview.
    Answer(Vec<u8>),
    /// No review took place. The API server refuses the write and shows the text.
    Failed(StatusCode, String),
}

impl Reviewer {
    /// Reviews with these settings and facts.
    pub fn new(settings: RuleSettings, facts: Arc<dyn FactSource>) -> Result<Self, ReviewerError> {
        Ok(Self {
            settings,
            facts,
            pool: Pool::start().map_err(ReviewerError)?,
            reviews: Semaphore::new(AT_ONCE),
            bodies: Semaphore::new(BODIES_KIB),
            deadline: DEADLINE,
        })
    }

    /// Answers a request for `kind`. `declared` is the length that the caller announced.
    pub(crate) async fn reply<B>(&self, kind: &'static str, declared: Option<u64>, body: B) -> Reply
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let length = declared.map_or(MAX_BODY, |length| usize::try_from(length).unwrap_or(usize::MAX));
        if length > MAX_BODY {
            return too_large();
        }
        let until = Instant::now() + self.deadline;
        let kib = u32::try_from(length / 1024 + 1).unwrap_or(u32::MAX);
        let turn = async { tokio::try_join!(self.reviews.acquire(), self.bodies.acquire_many(kib)) };
        let Ok(Ok(_turn)) = timeout_at(until, turn).await else {
            return late("too many objects are written at the same time; try again");
        };
        let body = match timeout_at(until, Limited::new(body, MAX_BODY).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return too_large(),
            Ok(Err(_)) => return Reply::Failed(StatusCode::BAD_REQUEST, "the body ended early".to_owned()),
            Err(_) => return late("the request did not arrive in time"),
        };
        let parsed = match timeout_at(until, self.pool.run(move || read(kind, &body))).await {
            Ok(Ok(parsed)) => parsed,
            Ok(Err(lost)) => return Reply::Failed(StatusCode::INTERNAL_SERVER_ERROR, lost.to_string()),
            Err(_) => return late("too many objects are written at the same time; try again"),
        };
        match parsed {
            Ok((question, needs)) => Reply::Answer(self.judge(question, needs, until).await),
            Err(text) => Reply::Failed(StatusCode::BAD_REQUEST, text),
        }
    }

    async fn judge(&self, question: Question, needs: Needs, until: Instant) -> Vec<u8> {
        if question.passes {
            return question.allow(&Review::default());
        }
        if let Some(text) = question.mismatch() {
            return question.fail(403, &text);
        }
        let question = Arc::new(question);
        let outcome = timeout_at(until, self.look_and_judge(&question, &needs)).await;
        match outcome {
            Ok(Ok(review)) if review.violations.is_empty() => question.allow(&review),
            Ok(Ok(review)) => {
                log(&question, &review);
                question.refuse(&review.violations)
            }
            Ok(Err(cannot)) => {
                tracing::warn!(kind = question.kind, namespace = question.namespace, name = question.name, "{cannot}");
                question.fail(500, &cannot.to_string())
            }
            Err(_) => {
                let text = format!("{} within {:?}; try again", wanted(&needs), self.deadline);
                tracing::warn!(kind = question.kind, namespace = question.namespace, name = question.name, "{text}");
                question.fail(500, &text)
            }
        }
    }

    async fn look_and_judge(&self, question: &Arc<Question>, needs: &Needs) -> Result<Review, CannotJudge> {
        let found = if *needs == Needs::default() { Gathered::default() } else { self.facts.gather(needs).await? };
        let (question, settings) = (question.clone(), self.settings.clone());
        let kind = question.kind;
        let judged = self.pool.run(move || review(&question.object, &settings, &found.facts())).await?;
        judged.ok_or(CannotJudge::NoRules(kind))
    }
}

#[derive(Debug, thiserror::Error)]
enum CannotJudge {
    #[error(transparent)]
    Facts(#[from] FactError),
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error("this release has no rules for {0}; use a ValidatingWebhookConfiguration of the same release")]
    NoRules(&'static str),
}

fn read(kind: &'static str, body: &[u8]) -> Result<(Question, Needs), String> {
    let question = parse(kind, body).map_err(|error| error.to_string())?;
    let judged = !question.passes && question.mismatch().is_none();
    let needs = if judged { needs(&question.object) } else { Needs::default() };
    Ok((question, needs))
}

fn wanted(needs: &Needs) -> String {
    match needs {
        Needs { profile: Some((namespace, name)), .. } => format!("could not read KollectProfile {namespace}/{name}"),
        Needs { scope_of: Some(namespace), .. } => format!("could not read the KollectScopes of {namespace}"),
        Needs { cluster_scope: true, .. } => "could not read the KollectClusterScopes".to_owned(),
        _ => "could not review the object".to_owned(),
    }
}

/// Names and rules only: a refused spec may hold what belongs into no log.
fn log(question: &Question, review: &Review) {
    let mut rules: Vec<&str> = review.violations.iter().map(|violation| violation.rule).collect();
    rules.dedup();
    tracing::info!(
        kind = question.kind,
        namespace = question.namespace,
        name = question.name,
        rules = rules.join(","),
        "refused"
    );
}

fn too_large() -> Reply {
    Reply::Failed(StatusCode::PAYLOAD_TOO_LARGE, format!("a review may have {MAX_BODY} bytes"))
}

fn late(text: &str) -> Reply {
    Reply::Failed(StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
}

#[cfg(test)]
mod tests;
