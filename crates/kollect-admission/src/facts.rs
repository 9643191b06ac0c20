//! Reads the other objects that a review needs from the API server.
//!
//! Nothing is cached: every replica must give the same response, and a scope created a moment ago must apply.

use async_trait::async_trait;
use kollect_api::{KollectClusterScope, KollectProfile, KollectScope};
use kollect_model::Gvk;
use kollect_rules::{Needs, ReviewFacts, kind_schema, openapi_path};
use kube::api::{Api, ListParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Time for the schema of a kind, within that of the review.
const SCHEMA: Duration = Duration::from_secs(1);
const PAGE: u32 = 200;

/// A read failed, so the object cannot be reviewed.
#[derive(Debug, thiserror::Error)]
#[error("could not read {what}: {why}")]
pub struct FactError {
    /// The object, with namespace and name.
    pub what: String,
    /// Cause and remedy, for the user whose write is refused.
    pub why: String,
}

/// The objects that a review needs, as far as they exist.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The referenced profile.
    pub profile: Option<KollectProfile>,
    /// All scopes of the namespace.
    pub scopes: Vec<KollectScope>,
    /// All cluster scopes.
    pub cluster_scopes: Vec<KollectClusterScope>,
    /// The schema of a profile's kind.
    pub schema: Option<Value>,
}

impl Gathered {
    /// As input of a review.
    pub fn facts(&self) -> ReviewFacts<'_> {
        ReviewFacts {
            profile: self.profile.as_ref(),
            scopes: &self.scopes,
            cluster_scopes: &self.cluster_scopes,
            schema: self.schema.as_ref(),
        }
    }
}

/// Reads the objects that a review needs.
#[async_trait]
pub trait FactSource: Send + Sync {
    /// Reads the needed objects; absent ones are left out.
    async fn gather(&self, needs: &Needs) -> Result<Gathered, FactError>;
}

/// The API server.
pub struct LiveFacts {
    client: Client,
    /// Schema documents have megabytes, so one is read at a time.
    schemas: Semaphore,
}

impl LiveFacts {
    /// Reads with this client.
    pub fn new(client: Client) -> Self {
        Self { client, schemas: Semaphore::new(1) }
    }

    /// The schema of a kind, unless it takes longer than [`SCHEMA`] or another is being read: it only adds warnings.
    async fn schema(&self, gvk: &Gvk) -> Option<Value> {
        let _permit = self.schemas.try_acquire().ok()?;
        let request = http::Request::get(openapi_path(gvk)).body(Vec::new()).ok()?;
        let document = timeout(SCHEMA, self.client.request_text(request)).await;
        match document {
            Ok(Ok(document)) => kind_schema(&document, gvk),
            Ok(Err(error)) => {
                tracing::debug!(%error, kind = %gvk, "the schema of the kind is not known");
                None
            }
            Err(_) => None,
        }
    }
}

#[async_trait]
impl FactSource for LiveFacts {
    async fn gather(&self, needs: &Needs) -> Result<Gathered, FactError> {
        let profile = async {
            let Some((namespace, name)) = &needs.profile else { return Ok(None) };
            let found = Api::<KollectProfile>::namespaced(self.client.clone(), namespace).get_opt(name).await;
            found.map_err(|error| failed(format!("KollectProfile {namespace}/{name}"), "get", &error))
        };
        let scopes = async {
            let Some(namespace) = &needs.scope_of else { return Ok(Vec::new()) };
            let api = Api::<KollectScope>::namespaced(self.client.clone(), namespace);
            all(&api).await.map_err(|error| failed(format!("KollectScopes of {namespace}"), "list", &error))
        };
        let cluster_scopes = async {
            if !needs.cluster_scope {
                return Ok(Vec::new());
            }
            let api = Api::<KollectClusterScope>::all(self.client.clone());
            all(&api).await.map_err(|error| failed("KollectClusterScopes".to_owned(), "list", &error))
        };
        let schema = async {
            match &needs.schema_of {
                Some(gvk) => Ok(self.schema(gvk).await),
                None => Ok(None),
            }
        };
        let (profile, scopes, cluster_scopes, schema) = tokio::try_join!(profile, scopes, cluster_scopes, schema)?;
        Ok(Gathered { profile, scopes, cluster_scopes, schema })
    }
}

/// All objects, page by page within the deadline of the review: every scope applies, so none may be missing.
async fn all<K>(api: &Api<K>) -> Result<Vec<K>, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut found = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = api.list(&page).await?;
        found.extend(list.items);
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(found),
        }
    }
}

fn failed(what: String, verb: &str, error: &kube::Error) -> FactError {
    let why = match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("the operator lacks the right to {verb} it; apply deploy/rbac.yaml of this release")
        }
        kube::Error::Api(status) => format!("the API server answered {}; try again", status.code),
        kube::Error::SerdeError(_) => "its spec does not have the form that this release knows".to_owned(),
        _ => "the API server did not answer; try again".to_owned(),
    };
    FactError { what, why }
}
