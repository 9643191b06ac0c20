//! Which watches are needed, from what targets want, what is served and what is permitted.
//!
//! It decides how much load the API server gets. Facts come in as values, missing facts are returned as questions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// More wanted namespaces than this are watched by one cluster-wide watch, where that is permitted.
pub const NAMESPACE_WATCHES: usize = 16;

/// A resource as the API serves it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvr {
    /// API group; empty for the core group.
    pub group: Arc<str>,
    /// API version.
    pub version: Arc<str>,
    /// Plural name, e.g. `deployments`.
    pub resource: Arc<str>,
}

impl Gvr {
    /// Builds a resource from its three parts.
    pub fn new(group: &str, version: &str, resource: &str) -> Self {
        Self { group: group.into(), version: version.into(), resource: resource.into() }
    }
}

impl fmt::Display for Gvr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            write!(f, "{}/{}", self.version, self.resource)
        } else {
            write!(f, "{}/{}/{}", self.group, self.version, self.resource)
        }
    }
}

/// How far a watch reaches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reach {
    /// Every namespace, or a cluster-scoped kind.
    Cluster,
    /// One namespace.
    Namespace(Arc<str>),
}

/// Which workers process the objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// The shared workers.
    #[default]
    Normal,
    /// A worker with lower scheduling priority.
    Low,
}

/// One watch, and the access it needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId {
    /// What is watched.
    pub gvr: Gvr,
    /// Targets of another priority have watches of their own.
    pub priority: Priority,
    /// Where.
    pub reach: Reach,
}

impl WatchId {
    /// The targets that the watch is for.
    pub(crate) fn resource_key(&self) -> ResourceKey {
        ResourceKey { gvr: self.gvr.clone(), priority: self.priority }
    }
}

/// The targets of one resource and priority.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ResourceKey {
    pub(crate) gvr: Gvr,
    pub(crate) priority: Priority,
}

impl ResourceKey {
    pub(crate) fn watch(&self, reach: Reach) -> WatchId {
        WatchId { gvr: self.gvr.clone(), priority: self.priority, reach }
    }
}

impl fmt::Display for WatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reach {
            Reach::Cluster => write!(f, "{} in all namespaces", self.gvr),
            Reach::Namespace(namespace) => write!(f, "{} in namespace {namespace}", self.gvr),
        }
    }
}

/// What is known about the right to list and watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchAccess {
    /// Not reviewed yet.
    Unknown,
    /// List and watch are allowed.
    Allowed,
    /// List or watch is denied.
    Denied,
}

/// What the targets of one resource and priority want together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchDemand {
    /// The resource.
    pub gvr: Gvr,
    /// The priority of the targets.
    pub priority: Priority,
    /// Whether the resource is namespaced.
    pub namespaced: bool,
    /// Union of the namespaces of its targets.
    pub namespaces: BTreeSet<Arc<str>>,
    /// All targets read only metadata.
    pub metadata_only: bool,
}

/// The watches that should run, and what must be known to decide the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchPlan {
    /// Watches, and whether they request metadata only.
    pub watches: BTreeMap<WatchId, bool>,
    /// Access that must be reviewed.
    pub questions: BTreeSet<WatchId>,
    /// Denied access that the targets need.
    pub denied: BTreeSet<WatchId>,
}

/// Makes the plan. `tenant` means that the operator may read given namespaces only.
pub fn plan(demands: &[WatchDemand], tenant: bool, access: &dyn Fn(&WatchId) -> WatchAccess) -> WatchPlan {
    let mut plan = WatchPlan::default();
    for demand in demands.iter().filter(|demand| !demand.namespaces.is_empty()) {
        plan_resource(demand, tenant, access, &mut plan);
    }
    plan
}

fn plan_resource(demand: &WatchDemand, tenant: bool, access: &dyn Fn(&WatchId) -> WatchAccess, plan: &mut WatchPlan) {
    use WatchAccess::{Allowed, Denied, Unknown};
    let cluster = WatchId { gvr: demand.gvr.clone(), priority: demand.priority, reach: Reach::Cluster };
    if !demand.namespaced {
        match access(&cluster) {
            Allowed => _ = plan.watches.insert(cluster, demand.metadata_only),
            Denied => _ = plan.denied.insert(cluster),
            Unknown => _ = plan.questions.insert(cluster),
        }
        return;
    }
    // One review for the whole cluster often answers those for every namespace.
    let everywhere = if tenant { Denied } else { access(&cluster) };
    let many = demand.namespaces.len() > NAMESPACE_WATCHES;
    match everywhere {
        Allowed if many => {
            plan.watches.insert(cluster, demand.metadata_only);
            return;
        }
        Denied if many && !tenant => _ = plan.denied.insert(cluster.clone()),
        Unknown => _ = plan.questions.insert(cluster.clone()),
        Allowed | Denied => {}
    }
    for namespace in &demand.namespaces {
        let id = WatchId { reach: Reach::Namespace(namespace.clone()), ..cluster.clone() };
        match access(&id) {
            Allowed => _ = plan.watches.insert(id, demand.metadata_only),
            Denied => _ = plan.denied.insert(id),
            Unknown if everywhere == Allowed => _ = plan.watches.insert(id, demand.metadata_only),
            Unknown if everywhere == Denied => _ = plan.questions.insert(id),
            Unknown => {}
        }
    }
}

/// What to do to get from one plan to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchSteps {
    /// Watches to stop.
    pub stop: Vec<WatchId>,
    /// Watches to start, and whether they request metadata only.
    pub start: Vec<(WatchId, bool)>,
}

/// The difference between what runs and what should run. A watch that must request other data is restarted.
pub fn diff(running: &BTreeMap<WatchId, bool>, wanted: &BTreeMap<WatchId, bool>) -> WatchSteps {
    let stop = running.iter().filter(|(id, metadata_only)| wanted.get(*id) != Some(*metadata_only));
    let start = wanted.iter().filter(|(id, metadata_only)| running.get(*id) != Some(*metadata_only));
    WatchSteps {
        stop: stop.map(|(id, _)| id.clone()).collect(),
        start: start.map(|(id, metadata_only)| (id.clone(), *metadata_only)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(namespaces: usize) -> WatchDemand {
        WatchDemand {
            gvr: Gvr::new("apps", "v1", "deployments"),
            priority: Priority::Normal,
            namespaced: true,
            namespaces: (0..namespaces).map(|n| format!("ns-{n:02}").into()).collect(),
            metadata_only: false,
        }
    }

    fn shape(plan: &WatchPlan) -> (usize, usize, usize) {
        (plan.watches.len(), plan.questions.len(), plan.denied.len())
    }

    #[test]
    fn the_smallest_set_of_watches_follows_from_wishes_and_access() {
        use WatchAccess::{Allowed, Denied, Unknown};
        // (wanted namespaces, tenant, cluster access, namespace access, (watches, questions, denied), cluster-wide)
        let table = [
            (0, false, Allowed, Allowed, (0, 0, 0), false),
            (1, false, Unknown, Unknown, (0, 1, 0), false),
            (1, false, Allowed, Unknown, (1, 0, 0), false),
            (16, false, Allowed, Unknown, (16, 0, 0), false),
            (17, false, Allowed, Unknown, (1, 0, 0), true),
            (17, false, Allowed, Denied, (1, 0, 0), true),
            (17, false, Denied, Unknown, (0, 17, 1), false),
            (17, false, Denied, Allowed, (17, 0, 1), false),
            (17, false, Unknown, Allowed, (17, 1, 0), false),
            (17, true, Allowed, Unknown, (0, 17, 0), false),
            (17, true, Allowed, Allowed, (17, 0, 0), false),
            (3, false, Denied, Denied, (0, 0, 3), false),
            (3, false, Allowed, Denied, (0, 0, 3), false),
        ];
        for (namespaces, tenant, cluster, each, expected, cluster_wide) in table {
            let access = |id: &WatchId| if id.reach == Reach::Cluster { cluster } else { each };
            let plan = plan(&[demand(namespaces)], tenant, &access);
            let case = format!("{namespaces} namespaces, tenant {tenant}, cluster {cluster:?}, each {each:?}");
            assert_eq!(shape(&plan), expected, "{case}");
            assert_eq!(plan.watches.keys().any(|id| id.reach == Reach::Cluster), cluster_wide, "{case}");
        }
    }

    #[test]
    fn targets_of_another_priority_have_watches_of_their_own() {
        let low = WatchDemand { priority: Priority::Low, ..demand(2) };
        let plan = plan(&[demand(2), low], false, &|_| WatchAccess::Allowed);
        assert_eq!(shape(&plan), (4, 0, 0));
        assert_eq!(plan.watches.keys().filter(|id| id.priority == Priority::Low).count(), 2);
    }

    #[test]
    fn one_denied_namespace_leaves_the_others_watched() {
        let access = |id: &WatchId| match &id.reach {
            Reach::Namespace(namespace) if &**namespace != "ns-01" => WatchAccess::Allowed,
            _ => WatchAccess::Denied,
        };
        let plan = plan(&[demand(3)], false, &access);
        assert_eq!(shape(&plan), (2, 0, 1));
        assert_eq!(plan.denied.first().unwrap().reach, Reach::Namespace("ns-01".into()));
    }

    #[test]
    fn a_cluster_scoped_kind_needs_the_cluster_whatever_the_mode() {
        let nodes =
            WatchDemand { gvr: Gvr::new("", "v1", "nodes"), namespaced: false, metadata_only: true, ..demand(1) };
        for (access, expected) in
            [(WatchAccess::Allowed, (1, 0, 0)), (WatchAccess::Denied, (0, 0, 1)), (WatchAccess::Unknown, (0, 1, 0))]
        {
            for tenant in [false, true] {
                assert_eq!(shape(&plan(std::slice::from_ref(&nodes), tenant, &|_| access)), expected);
            }
        }
    }

    #[test]
    fn the_difference_stops_and_starts_only_what_changed() {
        let id = |namespace: &str| WatchId {
            gvr: demand(0).gvr,
            priority: Priority::Normal,
            reach: Reach::Namespace(namespace.into()),
        };
        let running = BTreeMap::from([(id("a"), false), (id("b"), false), (id("c"), false)]);
        let wanted = BTreeMap::from([(id("b"), false), (id("c"), true), (id("d"), false)]);
        let steps = diff(&running, &wanted);
        assert_eq!(steps.stop, [id("a"), id("c")]);
        assert_eq!(steps.start, [(id("c"), true), (id("d"), false)]);
        assert_eq!(diff(&wanted, &wanted), WatchSteps::default());
    }
}
