//! Stores and rotates the certificates in the Secret, and publishes their CA bundle. Runs on every replica.
//!
//! Replicas agree by optimistic concurrency: one of them creates the Secret or updates the version that it read, the
//! others read the result.

use super::configuration::{Published, publish};
use super::issue::IssueError;
use super::stored::{StoredCertificates, Timing, Trust};
use super::{Clock, Serving};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Steps of a rotation that may follow each other without a pause.
const STEPS: usize = 4;
const DEADLINE: Duration = Duration::from_secs(20);

/// Names of the objects, and durations.
#[derive(Clone, Debug)]
pub struct RotatorSettings {
    /// The operator's namespace.
    pub namespace: String,
    /// The Secret.
    pub secret: String,
    /// The ValidatingWebhookConfiguration.
    pub configuration: String,
    /// Host names and addresses by which API servers call.
    pub names: Vec<String>,
    /// Lifetimes.
    pub timing: Timing,
    /// Pause between two polls of the Secret.
    pub poll: Duration,
    /// Read the CA bundle of the configuration every `trust_every` polls, and on every poll during a rotation.
    pub trust_every: u32,
}

#[derive(Debug, thiserror::Error)]
enum RotatorError {
    #[error("could not {verb} Secret {secret}: {source}{remedy}")]
    Secret { verb: &'static str, secret: String, source: kube::Error, remedy: &'static str },
    #[error(transparent)]
    Issue(#[from] IssueError),
    #[error("the certificates could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("Secret {0} changes all the time")]
    Contended(String),
    #[error("Secret {0} has a certificate that cannot be served: {1}")]
    Pair(String, super::PairError),
    #[error("the API server did not answer within {DEADLINE:?}")]
    Late,
}

/// Rotates the certificates until it is stopped.
pub struct CertificateRotator {
    settings: RotatorSettings,
    secrets: Api<Secret>,
    configurations: Api<ValidatingWebhookConfiguration>,
    serving: Arc<Serving>,
    clock: Clock,
    served: Option<String>,
    last_warning: Option<String>,
    polls: u32,
}

impl CertificateRotator {
    /// A rotator for this process.
    pub fn new(client: Client, settings: RotatorSettings, serving: Arc<Serving>, clock: Clock) -> Self {
        let secrets = Api::namespaced(client.clone(), &settings.namespace);
        let configurations = Api::all(client);
        Self { settings, secrets, configurations, serving, clock, served: None, last_warning: None, polls: 0 }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let polled = stop.run_until_cancelled(timeout(DEADLINE, self.poll())).await;
            let Some(polled) = polled else { break };
            match polled.unwrap_or(Err(RotatorError::Late)) {
                Ok(()) => {}
                Err(error) => {
                    let text = error.to_string();
                    self.serving.failed(&text);
                    self.warn_once(text);
                }
            }
            let pause = self.settings.poll.mul_f64(0.8 + 0.4 * fastrand::f64());
            let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    async fn poll(&mut self) -> Result<(), RotatorError> {
        let (mut secret, mut kept) = self.current().await?;
        self.serve(&kept)?;
        let check_trust = self.polls.is_multiple_of(self.settings.trust_every.max(1)) || kept.rotating();
        self.polls = self.polls.wrapping_add(1);
        // A step that depends on trust needs a read of the configuration in this poll.
        let mut trust = if check_trust { self.publish(&kept).await } else { Trust::Unknown };
        for _ in 0..STEPS {
            let now = (self.clock)();
            let Some(then) = kept.step(&self.settings.names, trust, now, self.settings.timing)? else { break };
            tracing::info!(rotating = then.rotating(), "the certificates of the webhook move on");
            (secret, kept) = match self.write(&secret, &then).await? {
                Some(written) => (written, then),
                // Another replica wrote first.
                None => self.current().await?,
            };
            trust = self.publish(&kept).await;
            self.serve(&kept)?;
        }
        Ok(())
    }

    /// The Secret. `deploy/rbac.yaml` contains it without data; if it is absent it is created, if RBAC permits.
    async fn current(&self) -> Result<(Secret, StoredCertificates), RotatorError> {
        for _ in 0..STEPS {
            let found = self.secrets.get_opt(&self.settings.secret).await;
            let Some(secret) = found.map_err(|error| self.failed("read", error))? else {
                self.create().await?;
                continue;
            };
            if let Some(kept) = secret.data.as_ref().and_then(StoredCertificates::read) {
                return Ok((secret, kept));
            }
            let fresh = StoredCertificates::fresh(&self.settings.names, (self.clock)(), self.settings.timing)?;
            if secret.data.as_ref().is_none_or(BTreeMap::is_empty) {
                tracing::info!(secret = self.settings.secret, "made a certificate for the webhook");
            } else {
                tracing::warn!(secret = self.settings.secret, "the Secret has no usable certificate; making one");
            }
            self.write(&secret, &fresh).await?;
        }
        Err(RotatorError::Contended(self.secret()))
    }

    async fn create(&self) -> Result<(), RotatorError> {
        let kept = StoredCertificates::fresh(&self.settings.names, (self.clock)(), self.settings.timing)?;
        let metadata = ObjectMeta {
            name: Some(self.settings.secret.clone()),
            labels: Some([("app.kubernetes.io/name".to_owned(), "kollect".to_owned())].into()),
            ..ObjectMeta::default()
        };
        let secret = Secret { metadata, data: Some(kept.data()?), ..Secret::default() };
        match self.secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => {
                tracing::info!(secret = self.settings.secret, "made a certificate for the webhook");
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(self.failed("create", error)),
        }
    }

    /// `None` when the Secret is no longer the one that was read.
    async fn write(&self, read: &Secret, kept: &StoredCertificates) -> Result<Option<Secret>, RotatorError> {
        let mut secret = read.clone();
        secret.data = Some(kept.data()?);
        match self.secrets.replace(&self.settings.secret, &PostParams::default(), &secret).await {
            Ok(written) => Ok(Some(written)),
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(None),
            Err(error) => Err(self.failed("update", error)),
        }
    }

    fn serve(&mut self, kept: &StoredCertificates) -> Result<(), RotatorError> {
        if self.served.as_ref() == Some(&kept.current.certificate) {
            return Ok(());
        }
        let presented = self.serving.present(&kept.current.certificate, &kept.current.key);
        presented.map_err(|error| RotatorError::Pair(self.secret(), error))?;
        self.served = Some(kept.current.certificate.clone());
        Ok(())
    }

    async fn publish(&mut self, kept: &StoredCertificates) -> Trust {
        let name = self.settings.configuration.clone();
        let published = publish(&self.configurations, &name, &kept.bundle()).await;
        match &published {
            Published::Same | Published::Conflict => {}
            Published::Written => tracing::info!(configuration = name, "wrote the caBundle of the webhooks"),
            Published::Absent => self.warn_once(format!(
                "there is no ValidatingWebhookConfiguration {name} with Kollect's webhooks, so specs are checked at run \
                 time only; apply deploy/webhooks.yaml, or run with --validating-webhooks-enabled=false"
            )),
            Published::Failed(error) => self.warn_once(format!(
                "could not keep the caBundle of ValidatingWebhookConfiguration {name}: {error}; apply deploy/rbac.yaml, \
                 or put ca.crt of Secret {} there by hand",
                self.secret()
            )),
        }
        if matches!(published, Published::Same | Published::Written) {
            self.last_warning = None;
        }
        published.trust()
    }

    /// Logs a warning, unless it equals the last one.
    fn warn_once(&mut self, text: String) {
        if self.last_warning.as_ref() != Some(&text) {
            tracing::warn!("{text}");
            self.last_warning = Some(text);
        }
    }

    fn failed(&self, verb: &'static str, source: kube::Error) -> RotatorError {
        let forbidden = matches!(&source, kube::Error::Api(status) if status.code == 403);
        let remedy = if forbidden {
            "; apply deploy/rbac.yaml, which has this Secret and the right to update it, bring a certificate with --webhook-cert-path, or run with \
             --validating-webhooks-enabled=false"
        } else {
            ""
        };
        RotatorError::Secret { verb, secret: self.secret(), source, remedy }
    }

    fn secret(&self) -> String {
        format!("{}/{}", self.settings.namespace, self.settings.secret)
    }
}
