//! A cluster, reached by a context of the kubeconfig, for commands that send single requests.
//!
//! It must not write to a cluster, nor cache objects.

mod catalog;

pub use catalog::{Catalog, ServedKind, find_kind};

use crate::terminal::chain;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kollect_model::Gvk;
use kube::api::{DynamicObject, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::discovery::Discovery;
use kube::{Api, Client, Config};
use std::path::Path;
use std::time::Duration;

/// Time for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for one response.
const ANSWER: Duration = Duration::from_secs(30);

/// A cluster and how it was reached.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: Client,
    /// The context; empty inside a cluster.
    pub context: String,
    /// Address of the API server.
    pub server: String,
    /// The context's namespace.
    pub namespace: String,
}

/// Why there is no connection to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(String),
    /// A context that the kubeconfig lacks.
    #[error("--context: the kubeconfig has no context {context:?}; it has {known}")]
    Unknown {
        /// Which.
        context: String,
        /// What is there.
        known: String,
    },
    /// The context.
    #[error("context {context:?} of the kubeconfig: {why}")]
    Context {
        /// Which.
        context: String,
        /// Why not.
        why: String,
    },
    /// The client.
    #[error("making a client for context {context:?}: {source}")]
    Client {
        /// Which.
        context: String,
        /// Why not.
        source: kube::Error,
    },
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("asking the API server {server} for {what}: {}", no_answer(error))]
pub struct AskError {
    /// Which.
    pub server: String,
    /// What was requested.
    pub what: String,
    /// Why it failed. Not a source: its text repeats the layers of the client.
    pub error: kube::Error,
}

/// Why a request failed, without the layers of the client.
pub fn no_answer(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        kube::Error::Service(inner) => {
            let mut deepest: &dyn std::error::Error = &**inner;
            while let Some(source) = deepest.source() {
                deepest = source;
            }
            format!("it cannot be reached: {deepest}")
        }
        other => chain(other),
    }
}

/// Reads the kubeconfig: the file named, else $KUBECONFIG, else ~/.kube/config.
pub fn kubeconfig(path: Option<&Path>) -> Result<Kubeconfig, ConnectError> {
    let read = match path {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    read.map_err(|error| ConnectError::Kubeconfig(why(&error)))
}

/// What is wrong with a kubeconfig, and what to do. Nothing of its content is repeated: it holds credentials.
pub fn why(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, path) if error.kind() == std::io::ErrorKind::NotFound => {
            format!("there is no file {}; name another with --kubeconfig or $KUBECONFIG", path.display())
        }
        KubeconfigError::ReadConfig(error, path) => format!("reading {}: {error}", path.display()),
        KubeconfigError::Parse(error) => match error.location() {
            Some(place) => format!("line {}, column {}: it is no kubeconfig in YAML", place.line(), place.column()),
            None => "it is no kubeconfig in YAML".to_owned(),
        },
        other => chain(other),
    }
}

/// Connects by a context, the current one when none is named.
pub async fn connect(path: Option<&Path>, context: Option<&str>) -> Result<Cluster, ConnectError> {
    let file = kubeconfig(path)?;
    let name = context.map(str::to_owned).or_else(|| file.current_context.clone()).unwrap_or_default();
    let known: Vec<&str> = file.contexts.iter().map(|context| context.name.as_str()).collect();
    if !known.contains(&name.as_str()) {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(ConnectError::Unknown { context: name, known });
    }
    let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(file, &options)
        .await
        .map_err(|error| ConnectError::Context { context: name.clone(), why: why(&error) })?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(ANSWER);
    let (server, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
    let client = Client::try_from(config).map_err(|source| ConnectError::Client { context: name.clone(), source })?;
    Ok(Cluster { client, context: name, server, namespace })
}

impl Cluster {
    pub(crate) fn ask_error(&self, what: impl Into<String>) -> impl FnOnce(kube::Error) -> AskError {
        let (server, what) = (self.server.clone(), what.into());
        move |error| AskError { server, what, error }
    }

    /// Reads the kinds that the cluster serves.
    pub async fn catalog(&self) -> Result<Catalog, AskError> {
        let discovery = Discovery::new(self.client.clone()).run_aggregated().await;
        Ok(Catalog::new(discovery.map_err(self.ask_error("the kinds it serves"))?))
    }

    /// The objects of a kind, in a namespace or in all.
    pub fn objects(&self, kind: &ServedKind, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace.filter(|_| kind.namespaced) {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind.resource),
            None => Api::all_with(self.client.clone(), &kind.resource),
        }
    }

    /// One object.
    pub async fn get(&self, kind: &ServedKind, namespace: &str, name: &str) -> Result<Option<DynamicObject>, AskError> {
        let what = format!("{} {namespace}/{name}", kind.resource.kind);
        self.objects(kind, Some(namespace)).get_opt(name).await.map_err(self.ask_error(what))
    }

    /// The OpenAPI v3 document of a kind's group and version; nothing when there is none, or it may not be read.
    pub async fn openapi(&self, gvk: &Gvk) -> Result<Option<String>, AskError> {
        let what = format!("the schemas of {}", gvk.api_version());
        // Names of groups and versions that the catalog has make a path.
        let Ok(request) = http::Request::get(kollect_rules::openapi_path(gvk)).body(Vec::new()) else {
            return Ok(None);
        };
        match self.client.request_text(request).await {
            Ok(document) => Ok(Some(document)),
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Ok(None),
            Err(error) => Err(self.ask_error(what)(error)),
        }
    }

    /// Whether the user of the kubeconfig may do this; an empty namespace means all of them.
    pub async fn may(&self, verb: &str, kind: &ServedKind, namespace: &str) -> Result<bool, AskError> {
        let attributes = ResourceAttributes {
            verb: Some(verb.to_owned()),
            group: Some(kind.resource.group.clone()),
            resource: Some(kind.resource.plural.clone()),
            namespace: Some(namespace.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..Default::default() };
        let what = format!("the right to {verb} {}", kind.resource.plural);
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &review).await.map_err(self.ask_error(what))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// Runs requests to a cluster on this thread.
pub fn block_on<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}
