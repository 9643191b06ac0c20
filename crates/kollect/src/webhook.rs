//! Starts the validating webhook with its certificate, on every replica, leading or not.

use crate::settings::WebhookSettings;
use anyhow::Context as _;
use kollect_admission::certs::{CertificateRotator, Clock, RotatorSettings, Serving, Timing};
use kollect_admission::{LiveFacts, Reviewer};
use kollect_rules::RuleSettings;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const POLL: Duration = Duration::from_secs(10);
/// Polls of the Secret per poll of the caBundle.
const TRUST_EVERY: u32 = 3;
/// Generous for every API server and replica to notice a change.
const SETTLE: Duration = Duration::from_mins(1);

/// Serves reviews until `stop`.
pub(crate) async fn serve(
    settings: WebhookSettings,
    namespace: String,
    rules: RuleSettings,
    client: kube::Client,
    serving: Arc<Serving>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let reviewer = Arc::new(Reviewer::new(rules, Arc::new(LiveFacts::new(client.clone())))?);
    let listener = TcpListener::bind(settings.address).await;
    let listener = listener.with_context(|| format!("--webhook-bind-address: listening on {}", settings.address))?;
    let server = kollect_admission::serve(listener, serving.clone(), reviewer, stop.clone());
    let server = async { server.await.context("serving the webhook") };
    // Short lifetimes, for trials, shorten everything else in proportion.
    let poll = POLL.min(settings.lifetime / 60);
    if let Some(files) = &settings.files {
        let follow = async { files.follow(&serving, poll, stop.clone()).await.context("--webhook-cert-path") };
        return tokio::try_join!(server, follow).map(|_| ());
    }
    let keeper = keeper(settings, namespace, poll, client, serving);
    let keep = async {
        keeper.run(stop).await;
        Ok(())
    };
    tokio::try_join!(server, keep).map(|_| ())
}

fn keeper(
    settings: WebhookSettings,
    namespace: String,
    poll: Duration,
    client: kube::Client,
    serving: Arc<Serving>,
) -> CertificateRotator {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let timing = Timing { lifetime: millis(settings.lifetime), settle: millis(SETTLE.min(settings.lifetime / 15)) };
    let clock: Clock = Arc::new(|| kollect_control::clock::precise_timestamp().as_millisecond());
    let settings = RotatorSettings {
        namespace,
        secret: settings.secret,
        configuration: settings.configuration,
        names: settings.names,
        timing,
        poll,
        trust_every: TRUST_EVERY,
    };
    CertificateRotator::new(client, settings, serving, clock)
}
