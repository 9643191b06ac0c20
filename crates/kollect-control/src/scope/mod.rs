//! Scopes of both kinds. They are enforced where targets, inventories and sinks are decided; this reports that.

use crate::context::Context;
use crate::controllers::{Controller, Controllers, Reconciled};
use crate::shared::conditions::{ConditionUpdate, health_of};
use crate::shared::report::Report;
use kollect_api::{KollectClusterScope, KollectScope};
use kollect_model::Reason;
use kollect_resources::cache::in_namespace;
use kollect_resources::kinds::{Kind, ObjectRef};
use kube::api::ObjectMeta;
use serde_json::{Map, Value};

impl Reconciled for KollectScope {
    type Controller = ScopeController;
}

impl Reconciled for KollectClusterScope {
    type Controller = ScopeController;
}

/// Reports scopes. Has no state.
#[derive(Default)]
pub struct ScopeController;

/// A scope, and how many others limit the same objects.
pub struct ObservedScope {
    meta: ObjectMeta,
    status: Value,
    others: usize,
}

impl Controller for ScopeController {
    type Observed = Option<ObservedScope>;
    type Decision = Option<Report>;
    type Applied = Option<Report>;

    fn observe(context: &Context, _: &Controllers, object: &ObjectRef) -> Self::Observed {
        let cache = context.cache.read();
        let key = object.key();
        let (meta, status, all) = if object.kind == Kind::ClusterScope {
            let scope = cache.get::<KollectClusterScope>(&key)?;
            (scope.metadata.clone(), serde_json::to_value(&scope.status), cache.cluster_scopes.len())
        } else {
            let scope = cache.get::<KollectScope>(&key)?;
            let all = in_namespace(&cache.scopes, &object.namespace).count();
            (scope.metadata.clone(), serde_json::to_value(&scope.status), all)
        };
        Some(ObservedScope { meta, status: status.unwrap_or_default(), others: all.saturating_sub(1) })
    }

    fn decide(object: &ObjectRef, observed: Self::Observed) -> Self::Decision {
        let ObservedScope { meta, status, others } = observed?;
        let conditions = vec![ConditionUpdate::is_true("Ready", Reason::Enforced, enforced(object.kind, others))];
        let health = health_of(&conditions);
        Some(Report { meta, present: status, conditions, fields: Map::new(), health })
    }

    fn apply(&mut self, _: &Context, _: &ObjectRef, decision: Self::Decision) -> Self::Applied {
        decision
    }

    fn report(&mut self, context: &Context, object: &ObjectRef, applied: Self::Applied) {
        match applied {
            Some(report) => context.reporter.report(object, report),
            None => context.reporter.forget(object),
        }
    }
}

fn enforced(kind: Kind, others: usize) -> String {
    let applies = match kind {
        Kind::ClusterScope => "all cluster targets and cluster inventories",
        _ => "the targets, inventories and sinks of this namespace",
    };
    let together = match others {
        0 => String::new(),
        1 => ", together with one other: what one of them forbids is forbidden".to_owned(),
        n => format!(", together with {n} others: what one of them forbids is forbidden"),
    };
    format!("applies to {applies}{together}")
}
