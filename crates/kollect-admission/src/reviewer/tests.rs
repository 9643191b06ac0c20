//! Deadlines, bounds and errors of reviews, with failing fact sources.

use super::*;
use crate::facts::Gathered;
use async_trait::async_trait;
use http_body_util::Full;
use serde_json::{Value, json};

/// A fact source that never returns, or fails.
struct Facts {
    hang: bool,
}

#[async_trait]
impl FactSource for Facts {
    async fn gather(&self, _needs: &Needs) -> Result<Gathered, FactError> {
        if self.hang {
            std::future::pending::<()>().await;
        }
        Err(FactError { what: "KollectProfile team/maps".to_owned(), why: "on purpose".to_owned() })
    }
}

fn reviewer(hang: bool) -> Reviewer {
    let reviewer = Reviewer::new(RuleSettings::default(), Arc::new(Facts { hang })).unwrap();
    Reviewer { deadline: Duration::from_millis(200), ..reviewer }
}

fn request() -> ReviewRequest {
    let object = json!({"apiVersion": "kollect.dev/v1alpha1", "kind": "KollectTarget", "metadata": {"name": "x"}});
    let body = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u", "operation": "CREATE", "object": object},
    });
    parse("KollectTarget", body.to_string().as_bytes()).unwrap()
}

async fn message(reviewer: &Reviewer) -> String {
    let needs = Needs { profile: Some(("team".to_owned(), "maps".to_owned())), ..Needs::default() };
    let response = reviewer.respond(request(), needs, Instant::now() + reviewer.deadline).await;
    let response: Value = serde_json::from_slice(&response).unwrap();
    assert_eq!(response["response"]["allowed"], false);
    response["response"]["status"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn facts_that_do_not_come_in_time_refuse_the_object_with_that_cause() {
    let text = message(&reviewer(true)).await;
    assert_eq!(text, "could not read KollectProfile team/maps within 200ms; try again");
}

#[tokio::test]
async fn facts_that_cannot_be_read_refuse_the_object_with_the_cause() {
    assert_eq!(message(&reviewer(false)).await, "could not read KollectProfile team/maps: on purpose");
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_without_reading_it() {
    let body = Full::new(Bytes::from_static(b"never read"));
    let reply = reviewer(true).reply("KollectTarget", Some(10 << 20), body).await;
    assert!(matches!(reply, Reply::Failed(StatusCode::PAYLOAD_TOO_LARGE, _)));
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_refused() {
    let body = Full::new(Bytes::from(vec![b'x'; MAX_BODY + 1]));
    let reply = reviewer(true).reply("KollectTarget", None, body).await;
    assert!(matches!(reply, Reply::Failed(StatusCode::PAYLOAD_TOO_LARGE, _)));
}

#[tokio::test]
async fn reviews_beyond_the_limit_wait_within_their_deadline() {
    let reviewer = reviewer(true);
    let _all = reviewer.reviews.acquire_many(u32::try_from(MAX_CONCURRENT_REVIEWS).unwrap()).await.unwrap();
    let reply = reviewer.reply("KollectTarget", Some(2), Full::new(Bytes::from_static(b"{}"))).await;
    assert!(matches!(reply, Reply::Failed(StatusCode::SERVICE_UNAVAILABLE, _)));
}
