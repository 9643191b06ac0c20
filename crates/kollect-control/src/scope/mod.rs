//! Scopes: all of a namespace are enforced together, and so are all cluster scopes.

use crate::kinds::Kind;
use crate::shared::conditions::Wanted;
use crate::world::{Objects, in_namespace};
use kollect_api::{KollectClusterScope, KollectScope};
use kollect_rules::Ceiling;
use std::sync::Arc;

/// The scopes over an object, held while their ceiling is asked. A scope counts until it is gone.
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

/// Why cluster kinds stand still while the kind cannot be listed.
pub fn unreadable(kind: Kind) -> String {
    let plural = kind.plural();
    format!("the operator may not list {plural}, or they are not installed; grant it list and watch, and apply the CRD")
}

fn enforced(others: usize, applies: &str) -> Vec<Wanted> {
    let together = match others {
        0 => String::new(),
        1 => ", together with one other: what one of them forbids is forbidden".to_owned(),
        n => format!(", together with {n} others: what one of them forbids is forbidden"),
    };
    vec![Wanted::is_true("Ready", "Enforced", format!("applies to {applies}{together}"))]
}

/// The conditions of a scope of this namespace.
pub fn conditions(scopes: &Objects<KollectScope>, namespace: &str) -> Vec<Wanted> {
    let others = in_namespace(scopes, namespace).count().saturating_sub(1);
    enforced(others, "the targets, inventories and sinks of this namespace")
}

/// The conditions of a cluster scope.
pub fn cluster_conditions(scopes: &Objects<KollectClusterScope>) -> Vec<Wanted> {
    enforced(scopes.len().saturating_sub(1), "all cluster targets and cluster inventories")
}
