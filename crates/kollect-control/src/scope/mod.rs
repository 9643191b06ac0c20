//! Scopes: which one of a namespace is enforced, and says so.

use crate::kinds::{Kind, NamespacedName};
use crate::shared::conditions::Wanted;
use crate::world::{Objects, in_namespace};
use kollect_api::{KollectClusterScope, KollectScope};
use std::sync::Arc;

/// The scope that is enforced in a namespace: the one with the lowest name.
pub fn enforced(scopes: &Objects<KollectScope>, namespace: &str) -> Option<Arc<KollectScope>> {
    in_namespace(scopes, namespace)
        .find(|(_, scope)| scope.metadata.deletion_timestamp.is_none())
        .map(|(_, scope)| scope.clone())
}

/// The cluster scope that is enforced: the one with the lowest name.
pub fn enforced_cluster(scopes: &Objects<KollectClusterScope>) -> Option<Arc<KollectClusterScope>> {
    scopes.values().find(|scope| scope.metadata.deletion_timestamp.is_none()).cloned()
}

/// Why cluster kinds stand still while the kind cannot be listed.
pub fn unreadable(kind: Kind) -> String {
    let plural = kind.plural();
    format!("the operator may not list {plural}, or they are not installed; grant it list and watch, and apply the CRD")
}

fn verdict(is_winner: bool, winner: &str, applies: &str) -> Vec<Wanted> {
    vec![if is_winner {
        Wanted::is_true("Ready", "Enforced", applies)
    } else {
        let why = format!("only the scope with the lowest name is enforced, and that is {winner}; merge them into one");
        Wanted::is_false("Ready", "Shadowed", why)
    }]
}

/// The conditions of a scope.
pub fn conditions(scopes: &Objects<KollectScope>, scope: &NamespacedName) -> Vec<Wanted> {
    let winner = enforced(scopes, &scope.namespace).and_then(|s| s.metadata.name.clone()).unwrap_or_default();
    let applies = "applies to the targets, inventories and sinks of this namespace";
    verdict(winner == *scope.name, &winner, applies)
}

/// The conditions of a cluster scope.
pub fn cluster_conditions(scopes: &Objects<KollectClusterScope>, scope: &NamespacedName) -> Vec<Wanted> {
    let winner = enforced_cluster(scopes).and_then(|s| s.metadata.name.clone()).unwrap_or_default();
    verdict(winner == *scope.name, &winner, "applies to all cluster targets and cluster inventories")
}
