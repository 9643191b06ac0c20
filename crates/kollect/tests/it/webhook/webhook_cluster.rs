//! An API server, operators with the webhook on, and the configuration that connects them.

use crate::test_cluster::{Running, SOON};
use anyhow::Context as _;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kollect_testkit::operator::{self, Operator, OperatorOptions, SERVICE_ACCOUNT};
use kollect_testkit::scene;
use kollect_testkit::servers::{ApiServer, ApiServerOptions, free_port, wait_for};
use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

pub(crate) const TEAM: &str = "team";
pub(crate) const CONFIGURATION: &str = "kollect-validating-webhook-configuration";
pub(crate) const SECRET: &str = "webhook-server-cert";

pub(crate) struct WebhookCluster {
    pub(crate) api: ApiServer,
    pub(crate) client: kube::Client,
    token: String,
}

impl WebhookCluster {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let api = ApiServer::start(ApiServerOptions::default()).await?;
        let token = operator::install(&api).await?;
        let client = api.admin().await?;
        operator::apply(&client, scene::namespace(TEAM)).await?;
        Ok(Self { api, client, token })
    }

    /// An operator whose webhook listens on this port.
    pub(crate) fn spawn(&self, pod: &str, port: u16, args: &[&str]) -> anyhow::Result<Running> {
        let own = [format!("--webhook-bind-address=127.0.0.1:{port}"), "--webhook-host-names=127.0.0.1".to_owned()];
        let options = OperatorOptions {
            args: own.into_iter().chain(args.iter().map(|arg| (*arg).to_owned())).collect(),
            env: vec![("POD_UID".to_owned(), pod.to_owned())],
            binary: Some(Path::new(env!("CARGO_BIN_EXE_kollect")).to_owned()),
        };
        Ok(Running(Operator::start(&self.api.kubeconfig_for_token(&self.token), &options)?))
    }

    /// One operator, ready, and an API server that asks it.
    pub(crate) async fn with_webhook(&self, args: &[&str]) -> anyhow::Result<(Running, u16)> {
        let port = free_port()?;
        self.lead_to(port).await?;
        let mut operator = self.spawn("pod-a", port, args)?;
        operator.wait_ready(SOON).await?;
        self.asks().await?;
        Ok((operator, port))
    }

    /// The installed configuration with an address instead of the Service.
    pub(crate) async fn lead_to(&self, port: u16) -> anyhow::Result<()> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/webhooks.yaml");
        let text = std::fs::read_to_string(file)?;
        let (_, text) = text.split_once("\n---").context("the configuration is the second document")?;
        let mut configuration: Value = serde_saphyr::from_str(text)?;
        for webhook in configuration["webhooks"].as_array_mut().context("no webhooks")? {
            let path = webhook["clientConfig"]["service"]["path"].as_str().unwrap_or_default();
            webhook["clientConfig"] = json!({"url": format!("https://127.0.0.1:{port}{path}")});
        }
        operator::apply(&self.client, configuration).await?;
        Ok(())
    }

    /// Waits until a broken profile is refused with a rule's words: the API server asks, trusts and gets an answer.
    pub(crate) async fn asks(&self) -> anyhow::Result<()> {
        let mut last = String::new();
        let asked = wait_for("the API server asks the webhook", SOON, async || {
            last = match self.apply(broken_profile("probe")).await {
                Ok(_) => "stored".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            Ok(last.contains("is invalid"))
        })
        .await;
        asked.with_context(|| last)
    }

    pub(crate) async fn apply(&self, object: Value) -> anyhow::Result<DynamicObject> {
        operator::apply(&self.client, object).await
    }

    pub(crate) async fn secret(&self) -> anyhow::Result<Option<Secret>> {
        Ok(Api::namespaced(self.client.clone(), SERVICE_ACCOUNT.0).get_opt(SECRET).await?)
    }

    /// The authorities of the Secret.
    pub(crate) async fn kept_bundle(&self) -> anyhow::Result<String> {
        let data = self.secret().await?.and_then(|secret| secret.data).context("no Secret")?;
        Ok(String::from_utf8(data.get("ca.crt").context("no ca.crt")?.0.clone())?)
    }

    pub(crate) fn configurations(&self) -> Api<ValidatingWebhookConfiguration> {
        Api::all(self.client.clone())
    }

    /// What each webhook trusts.
    pub(crate) async fn trusted(&self) -> anyhow::Result<Vec<String>> {
        let found = self.configurations().get(CONFIGURATION).await?;
        let bundle = |bytes: Option<k8s_openapi::ByteString>| String::from_utf8(bytes.map(|b| b.0).unwrap_or_default());
        let webhooks = found.webhooks.unwrap_or_default().into_iter();
        Ok(webhooks.map(|webhook| bundle(webhook.client_config.ca_bundle)).collect::<Result<_, _>>()?)
    }

    /// Waits until every caBundle equals the authorities of the Secret.
    pub(crate) async fn agrees(&self, deadline: Duration) -> anyhow::Result<()> {
        wait_for("the caBundles equal the Secret", deadline, async || {
            let kept = self.kept_bundle().await?;
            Ok(self.trusted().await?.iter().all(|trusted| *trusted == kept))
        })
        .await
    }
}

/// A profile that the API server alone stores.
pub(crate) fn broken_profile(name: &str) -> Value {
    scene::profile(TEAM, name, "v1", "ConfigMap", &[("value", "$.data["), ("other", "$.data[")])
}

pub(crate) fn good_profile(name: &str) -> Value {
    scene::profile(TEAM, name, "v1", "ConfigMap", &[("value", "$.data.value")])
}
