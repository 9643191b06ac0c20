//! Scopes: which one of a namespace is enforced, and says so.

use crate::kinds::NamespacedName;
use crate::shared::conditions::Wanted;
use crate::world::{Objects, in_namespace};
use kollect_api::KollectScope;
use std::sync::Arc;

/// The scope that is enforced in a namespace: the one with the lowest name.
pub fn enforced(scopes: &Objects<KollectScope>, namespace: &str) -> Option<Arc<KollectScope>> {
    in_namespace(scopes, namespace)
        .find(|(_, scope)| scope.metadata.deletion_timestamp.is_none())
        .map(|(_, scope)| scope.clone())
}

/// The conditions of a scope.
pub fn conditions(scopes: &Objects<KollectScope>, scope: &NamespacedName) -> Vec<Wanted> {
    let winner = enforced(scopes, &scope.namespace).and_then(|s| s.metadata.name.clone()).unwrap_or_default();
    vec![if winner == *scope.name {
        Wanted::is_true("Ready", "Enforced", "applies to the targets, inventories and sinks of this namespace")
    } else {
        Wanted::is_false(
            "Ready",
            "Shadowed",
            format!("only the scope with the lowest name is enforced here, and that is {winner}; merge them into one"),
        )
    }]
}
