//! The Kollect kinds and references to their objects.
//!
//! The table in [`for_each_kind`](crate::for_each_kind) is the one place that lists the kinds: the enum, the cache, its
//! watches and the controllers are generated from it.

use std::fmt;
use std::sync::Arc;

/// Calls the macro `$with` with one row per kind, in the order in which a round reconciles them: what others depend on
/// comes first. Columns: variant of [`Kind`], type, field of the cache, `controller` label of metrics, plural, scope, and
/// whether the operator starts without the kind.
///
/// `Optional` kinds are those without which the rest can be decided: an installation that was upgraded without their
/// CRDs or rights goes on. Half a picture of the `Required` ones loses or leaks rows.
#[macro_export]
macro_rules! for_each_kind {
    ($with:ident) => {
        $with! {
            Scope KollectScope scopes "kollectscope" "kollectscopes" Namespaced Required;
            ClusterScope KollectClusterScope cluster_scopes "kollectclusterscope" "kollectclusterscopes" Cluster Optional;
            Profile KollectProfile profiles "kollectprofile" "kollectprofiles" Namespaced Required;
            SnapshotSink KollectSnapshotSink snapshot_sinks "kollectsnapshotsink" "kollectsnapshotsinks" Namespaced Required;
            DatabaseSink KollectDatabaseSink database_sinks "kollectdatabasesink" "kollectdatabasesinks" Namespaced Required;
            EventSink KollectEventSink event_sinks "kollecteventsink" "kollecteventsinks" Namespaced Optional;
            Target KollectTarget targets "kollecttarget" "kollecttargets" Namespaced Required;
            ClusterTarget KollectClusterTarget cluster_targets "kollectclustertarget" "kollectclustertargets" Cluster Optional;
            Inventory KollectInventory inventories "kollectinventory" "kollectinventories" Namespaced Required;
            ClusterInventory KollectClusterInventory cluster_inventories "kollectclusterinventory" "kollectclusterinventories" Cluster Optional;
            ConnectionTest KollectConnectionTest connection_tests "kollectconnectiontest" "kollectconnectiontests" Namespaced Optional;
        }
    };
}

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In none.
    Cluster,
}

/// Whether the operator starts without a kind that the API server refuses to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It waits for the first list.
    Required,
    /// It starts, and what depends on the kind reports that.
    Optional,
}

macro_rules! define_kinds {
    ($($kind:ident $object:ident $field:ident $controller:literal $plural:literal $scope:ident $presence:ident;)+) => {
        /// A kind, in the order in which a round reconciles them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $(
                #[doc = concat!("`", stringify!($object), "`")]
                $kind,
            )+
        }

        impl Kind {
            /// Every kind, in order.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// The kind as manifests name it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($object),)+
                }
            }

            /// The value of the `controller` label of metrics.
            pub fn controller(self) -> &'static str {
                match self {
                    $(Self::$kind => $controller,)+
                }
            }

            /// The resource name in URLs.
            pub fn plural(self) -> &'static str {
                match self {
                    $(Self::$kind => $plural,)+
                }
            }

            /// Where its objects live.
            pub fn scope(self) -> Scope {
                match self {
                    $(Self::$kind => Scope::$scope,)+
                }
            }

            /// Whether the operator starts without it.
            pub fn presence(self) -> Presence {
                match self {
                    $(Self::$kind => Presence::$presence,)+
                }
            }
        }
    };
}

for_each_kind!(define_kinds);

/// Namespace and name. The namespace of a cluster-scoped object is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespacedName {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl NamespacedName {
    /// Builds the pair.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One Kollect object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Kind.
    pub kind: Kind,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl ObjectRef {
    /// A reference to an object of `kind`.
    pub fn new(kind: Kind, key: &NamespacedName) -> Self {
        Self { kind, namespace: key.namespace.clone(), name: key.name.clone() }
    }

    /// Namespace and name without the kind.
    pub fn key(&self) -> NamespacedName {
        NamespacedName { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_the_custom_resources() {
        macro_rules! check {
            ($($kind:ident $object:ident $field:ident $controller:literal $plural:literal $scope:ident $presence:ident;)+) => {
                $(
                    assert_eq!(<kollect_api::$object as kube::Resource>::kind(&()), Kind::$kind.name());
                    assert_eq!(<kollect_api::$object as kube::Resource>::plural(&()), $plural);
                    assert_eq!(Kind::$kind.name().to_lowercase(), $controller);
                )+
            };
        }
        for_each_kind!(check);
    }
}
