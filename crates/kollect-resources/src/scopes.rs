//! The scopes that limit an object: all of a namespace are enforced together, and so are all cluster scopes.

use crate::cache::{Objects, in_namespace};
use kollect_api::{KollectClusterScope, KollectScope};
use kollect_rules::Ceiling;
use std::sync::Arc;

/// The scopes that limit an object. A scope counts until it is gone.
#[derive(Clone)]
pub enum Scopes {
    /// All scopes of one namespace.
    Namespace(Vec<Arc<KollectScope>>),
    /// All cluster scopes.
    Cluster(Vec<Arc<KollectClusterScope>>),
}

impl Scopes {
    /// The scopes of a namespace.
    pub fn of_namespace(scopes: &Objects<KollectScope>, namespace: &str) -> Self {
        Self::Namespace(in_namespace(scopes, namespace).map(|(_, scope)| scope.clone()).collect())
    }

    /// The scopes of the cluster kinds.
    pub fn of_cluster(scopes: &Objects<KollectClusterScope>) -> Self {
        Self::Cluster(scopes.values().cloned().collect())
    }

    /// What they permit together.
    pub fn ceiling(&self) -> Ceiling<'_> {
        match self {
            Self::Namespace(scopes) => Ceiling::of_namespace(scopes.iter().map(AsRef::as_ref)),
            Self::Cluster(scopes) => Ceiling::of_cluster(scopes.iter().map(AsRef::as_ref)),
        }
    }
}
