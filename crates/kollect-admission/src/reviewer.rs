//! Reviews one request: from its body to the response, within a deadline and a bounded amount of memory.

use crate::facts::{FactError, FactSource, Gathered};
use crate::pool::{ReviewAborted, ReviewPool};
use crate::protocol::{ReviewRequest, parse};
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
/// From the first byte of a request to its response.
const DEADLINE: Duration = Duration::from_secs(2);
const MAX_CONCURRENT_REVIEWS: usize = 64;
/// Limit for all bodies in memory, in KiB; a decoded object takes several times its text.
const BODIES_KIB: usize = 32 << 10;

/// The reviewer could not be started.
#[derive(Debug, thiserror::Error)]
#[error("starting the threads that review objects: {0}")]
pub struct ReviewerError(#[source] std::io::Error);

/// Reviews objects by the rules.
pub struct Reviewer {
    settings: RuleSettings,
    facts: Arc<dyn FactSource>,
    pool: ReviewPool,
    reviews: Semaphore,
    bodies: Semaphore,
    deadline: Duration,
}

/// The response to a request.
pub(crate) enum Reply {
    /// An AdmissionReview.
    Reviewed(Vec<u8>),
    /// No review took place. The API server refuses the write with this text.
    Failed(StatusCode, String),
}

impl Reviewer {
    /// Reviews with these settings and facts.
    pub fn new(settings: RuleSettings, facts: Arc<dyn FactSource>) -> Result<Self, ReviewerError> {
        Ok(Self {
            settings,
            facts,
            pool: ReviewPool::start().map_err(ReviewerError)?,
            reviews: Semaphore::new(MAX_CONCURRENT_REVIEWS),
            bodies: Semaphore::new(BODIES_KIB),
            deadline: DEADLINE,
        })
    }

    /// Responds to a request for `kind`. `declared`: the `Content-Length`.
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
        let permits = async { tokio::try_join!(self.reviews.acquire(), self.bodies.acquire_many(kib)) };
        let Ok(Ok(_permits)) = timeout_at(until, permits).await else {
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
            Ok(Err(aborted)) => return Reply::Failed(StatusCode::INTERNAL_SERVER_ERROR, aborted.to_string()),
            Err(_) => return late("too many objects are written at the same time; try again"),
        };
        match parsed {
            Ok((request, needs)) => Reply::Reviewed(self.respond(request, needs, until).await),
            Err(text) => Reply::Failed(StatusCode::BAD_REQUEST, text),
        }
    }

    async fn respond(&self, request: ReviewRequest, needs: Needs, until: Instant) -> Vec<u8> {
        if request.passes {
            return request.allow(&Review::default());
        }
        if let Some(text) = request.mismatch() {
            return request.fail(403, &text);
        }
        let request = Arc::new(request);
        let outcome = timeout_at(until, self.gather_and_review(&request, &needs)).await;
        match outcome {
            Ok(Ok(review)) if review.violations.is_empty() => request.allow(&review),
            Ok(Ok(review)) => {
                log(&request, &review);
                request.refuse(&review.violations)
            }
            Ok(Err(cannot)) => {
                tracing::warn!(kind = request.kind, namespace = request.namespace, name = request.name, "{cannot}");
                request.fail(500, &cannot.to_string())
            }
            Err(_) => {
                let text = format!("{} within {:?}; try again", wanted(&needs), self.deadline);
                tracing::warn!(kind = request.kind, namespace = request.namespace, name = request.name, "{text}");
                request.fail(500, &text)
            }
        }
    }

    async fn gather_and_review(&self, request: &Arc<ReviewRequest>, needs: &Needs) -> Result<Review, ReviewFailure> {
        let found = if *needs == Needs::default() { Gathered::default() } else { self.facts.gather(needs).await? };
        let (request, settings) = (request.clone(), self.settings.clone());
        let kind = request.kind;
        let reviewed = self.pool.run(move || review(&request.object, &settings, &found.facts())).await?;
        reviewed.ok_or(ReviewFailure::NoRules(kind))
    }
}

#[derive(Debug, thiserror::Error)]
enum ReviewFailure {
    #[error(transparent)]
    Facts(#[from] FactError),
    #[error(transparent)]
    Aborted(#[from] ReviewAborted),
    #[error("this release has no rules for {0}; use a ValidatingWebhookConfiguration of the same release")]
    NoRules(&'static str),
}

fn read(kind: &'static str, body: &[u8]) -> Result<(ReviewRequest, Needs), String> {
    let request = parse(kind, body).map_err(|error| error.to_string())?;
    let reviewed = !request.passes && request.mismatch().is_none();
    let needs = if reviewed { needs(&request.object) } else { Needs::default() };
    Ok((request, needs))
}

fn wanted(needs: &Needs) -> String {
    match needs {
        Needs { profile: Some((namespace, name)), .. } => format!("could not read KollectProfile {namespace}/{name}"),
        Needs { scope_of: Some(namespace), .. } => format!("could not read the KollectScopes of {namespace}"),
        Needs { cluster_scope: true, .. } => "could not read the KollectClusterScopes".to_owned(),
        _ => "could not review the object".to_owned(),
    }
}

/// Logs names and rules only: a refused spec may contain secrets.
fn log(request: &ReviewRequest, review: &Review) {
    let mut rules: Vec<&str> = review.violations.iter().map(|violation| violation.rule).collect();
    rules.dedup();
    tracing::info!(
        kind = request.kind,
        namespace = request.namespace,
        name = request.name,
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
