//! Targets of both kinds: which objects to collect with which profile, and how that goes.

pub mod decide;
mod failing_lists;
mod observed;
mod row_gauge;
mod summary;

use crate::context::Context;
use crate::controllers::{Controller, Controllers, Reconciled};
use crate::metrics::ProfileGvk;
use crate::shared::conditions::{ConditionUpdate, health_of};
use crate::shared::namespace_ends::NamespaceEnd;
use crate::shared::report::Report;
use decide::TargetFacts;
use failing_lists::{FailingLists, Listing};
use kollect_api::{KollectClusterTarget, KollectTarget};
use kollect_collect::{PausedTarget, TargetSpec, TargetStatus};
use kollect_resources::kinds::{Kind, NamespacedName, ObjectRef};
use kollect_resources::target::{ResolvedTarget, TargetObject};
use kube::api::ObjectMeta;
pub(crate) use observed::ActiveTarget;
use row_gauge::RowGauge;
use std::collections::BTreeMap;
use summary::{StatusFields, total};
use tokio::time::Instant;

impl Reconciled for KollectTarget {
    type Controller = TargetController;
}

impl Reconciled for KollectClusterTarget {
    type Controller = TargetController;
}

/// Collects the targets of one kind.
#[derive(Default)]
pub struct TargetController {
    targets: BTreeMap<NamespacedName, TargetState>,
    /// The collector has not got the newest targets.
    changed: bool,
    failing_lists: FailingLists,
}

/// A target that exists.
pub struct TargetState {
    /// What it collects.
    pub resolved: ResolvedTarget,
    /// It cannot collect anything, and is not suspended.
    pub degraded: bool,
    rows: RowGauge,
}

impl TargetController {
    /// The state of a target, once it was reconciled.
    pub fn get(&self, key: &NamespacedName) -> Option<&TargetState> {
        self.targets.get(key)
    }

    /// Whether the collector must get the targets.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// The collector has the targets.
    pub fn mark_handed_over(&mut self) {
        self.changed = false;
    }

    /// What to collect.
    pub fn specs(&self) -> impl Iterator<Item = TargetSpec> {
        self.targets.values().flat_map(|state| state.resolved.specs.iter().cloned())
    }

    /// Targets whose rows stay in the sinks although they are not collected.
    pub fn paused(&self) -> impl Iterator<Item = PausedTarget> {
        self.targets.values().flat_map(|state| state.resolved.paused())
    }

    fn remove(&mut self, context: &Context, object: &ObjectRef) {
        let key = object.key();
        self.failing_lists.forget(&key);
        if let Some(mut state) = self.targets.remove(&key) {
            state.rows.set(&context.metrics, None);
            self.changed = true;
            context.add_dependents(object);
        }
    }

    /// Why a list or watch of the target has failed for minutes, if one has.
    fn list_error(&mut self, context: &Context, object: &ObjectRef, status: &TargetStatus) -> Option<String> {
        match self.failing_lists.observe(&object.key(), status.list_error.is_some(), Instant::now()) {
            Listing::Fine => None,
            Listing::Early(due) => {
                context.queue.add_at(object.clone(), due);
                None
            }
            Listing::Failing { new } => {
                if new {
                    context.count_error(object.kind, "transient");
                }
                let why = status.list_error.as_deref().unwrap_or_default();
                Some(format!("for more than 2 minutes: {why}; rows stay as they were last seen, and it is tried again"))
            }
        }
    }
}

/// A target, as the API server has it.
pub enum ObservedTarget {
    /// It does not exist.
    Gone,
    /// It is being deleted.
    Deleting {
        /// Metadata.
        meta: Box<ObjectMeta>,
        /// The finalizer to remove.
        finalizer: &'static str,
        /// An inventory of its namespace retains what it exported.
        retained: bool,
        /// What is known of the namespace's end.
        namespace: NamespaceEnd,
    },
    /// It exists, with everything that it depends on.
    Active(Box<ActiveTarget>),
}

/// What to do about a target.
pub enum DecidedTarget {
    /// Forget it.
    Forget,
    /// Its rows leave the views, and it may go.
    Release(Box<ObjectMeta>, &'static str),
    /// Whether its namespace ends decides what happens to its rows: ask the API server.
    AskNamespace,
    /// The answer is on its way.
    Wait,
    /// Collect it.
    Collect(Box<(ActiveTarget, ResolvedTarget)>),
}

/// A target after it was applied.
pub struct AppliedTarget {
    target: TargetObject,
    facts: TargetFacts,
    conditions: Vec<ConditionUpdate>,
    fields: StatusFields,
}

impl Controller for TargetController {
    type Observed = ObservedTarget;
    type Decision = DecidedTarget;
    /// `None` when nothing is left to report on.
    type Applied = Option<AppliedTarget>;

    fn observe(context: &Context, all: &Controllers, object: &ObjectRef) -> Self::Observed {
        let Some(target) = TargetObject::find(&context.cache.read(), object) else { return ObservedTarget::Gone };
        if target.meta().deletion_timestamp.is_none() {
            return ObservedTarget::Active(Box::new(ActiveTarget::of(context, all, object, target)));
        }
        ObservedTarget::Deleting {
            meta: Box::new(target.meta().clone()),
            finalizer: target.finalizer(),
            retained: observed::is_retained(context, object),
            namespace: context.namespace_ends.state(&object.namespace),
        }
    }

    fn decide(_: &ObjectRef, observed: Self::Observed) -> Self::Decision {
        match observed {
            ObservedTarget::Gone => DecidedTarget::Forget,
            ObservedTarget::Active(active) => {
                let resolved = active.resolve();
                DecidedTarget::Collect(Box::new((*active, resolved)))
            }
            ObservedTarget::Deleting { meta, finalizer, retained, namespace } => match namespace {
                NamespaceEnd::Unasked if retained => DecidedTarget::AskNamespace,
                NamespaceEnd::Pending if retained => DecidedTarget::Wait,
                _ => DecidedTarget::Release(meta, finalizer),
            },
        }
    }

    fn apply(&mut self, context: &Context, object: &ObjectRef, decision: Self::Decision) -> Self::Applied {
        match decision {
            DecidedTarget::Forget => {
                self.remove(context, object);
                context.reporter.forget(object);
            }
            DecidedTarget::Release(meta, finalizer) => {
                // Rows are dropped in memory, which cannot fail; sinks follow through the inventories' views.
                self.remove(context, object);
                context.finalizers.set(object, &meta, finalizer, false);
            }
            DecidedTarget::AskNamespace => context.namespace_ends.ask(object.namespace.clone()),
            DecidedTarget::Wait => {}
            DecidedTarget::Collect(collect) => return Some(self.collect(context, object, collect.0, collect.1)),
        }
        None
    }

    fn report(&mut self, context: &Context, object: &ObjectRef, applied: Self::Applied) {
        let Some(AppliedTarget { target, facts, conditions, fields }) = applied else { return };
        let present = target.status();
        let before = context.reporter.newest(object, target.meta(), &present);
        let fields = fields.with(&facts, before);
        // The count is in the message; only states and reasons are health.
        let health = health_of(&conditions);
        context.reporter.report(object, Report { meta: target.meta().clone(), present, conditions, fields, health });
    }
}

impl TargetController {
    fn collect(
        &mut self,
        context: &Context,
        object: &ObjectRef,
        active: ActiveTarget,
        resolved: ResolvedTarget,
    ) -> AppliedTarget {
        let key = object.key();
        context.finalizers.set(object, active.target.meta(), active.target.finalizer(), true);
        context.queue.add_at(object.clone(), Instant::now() + context.settings.target_count_resync);
        let fields = StatusFields::of(&active.target, &resolved);
        let status = total(resolved.keys.values().filter_map(|key| context.collector.status(key)));
        let list_error = self.list_error(context, object, &status);
        // The state stays in place until its successor is complete: without it the rows would leave the sinks.
        let known = self.targets.get(&key);
        let before = known.map(|known| &known.resolved);
        let view_changed = before.is_none_or(|before| !before.has_rows_like(&resolved));
        let changed = before.is_none_or(|before| !before.collects_like(&resolved));
        let rows = resolved.keys.values().map(|key| context.store.target_rows(key)).sum();
        let facts = active.facts(&resolved, &status, rows, list_error);
        let conditions = match object.kind {
            Kind::ClusterTarget => decide::verdict(&facts),
            _ => decide::conditions(&facts),
        };
        let degraded = !facts.suspended && conditions.iter().any(|c| c.kind == "Ready" && !c.status);
        let turned = known.is_some_and(|known| known.degraded != degraded);
        let labels = ProfileGvk { profile: active.target.profile_key().to_string(), gvk: facts.gvk.clone() };
        let mut state = TargetState { resolved, degraded, rows: RowGauge::default() };
        if let Some(known) = self.targets.get_mut(&key) {
            state.rows = std::mem::take(&mut known.rows);
        }
        // An inventory without sinks learns of rows in no other way.
        let counted = state.rows.set(&context.metrics, Some((labels, rows)));
        self.targets.insert(key, state);
        self.changed |= changed;
        if view_changed || counted || (turned && object.kind == Kind::ClusterTarget) {
            context.add_dependents(object);
        }
        AppliedTarget { target: active.target, facts, conditions, fields }
    }
}
