//! Maps paths to answers, each with the right that it needs. Pure.

use crate::access::RequiredRight;
use crate::query::Query;

/// The answer that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A page of rows.
    Rows(Query),
    /// A page of rows now, and again after each change.
    Watch(Query),
    /// States of inventories; an empty namespace means all.
    Inventories {
        /// Namespace.
        namespace: String,
    },
    /// States of targets; an empty namespace means all.
    Targets {
        /// Namespace.
        namespace: String,
    },
}

/// A parsed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    /// The path is an old name of another one.
    pub(crate) deprecated: bool,
}

impl Route {
    /// Reads path and query of a URL; nothing for a path that does not exist.
    pub(crate) fn of(path: &str, query: &str) -> Option<Self> {
        let rows = || Query::parse(query);
        let (below, deprecated) = match path.strip_prefix("/v1alpha1/") {
            Some(below) => (below, false),
            None => (path.strip_prefix('/')?, true),
        };
        let parts: Vec<&str> = below.split('/').collect();
        let endpoint = match parts.as_slice() {
            ["inventory"] => Endpoint::Rows(rows()),
            ["inventory", "watch"] => Endpoint::Watch(rows()),
            ["inventory", namespace, name] if !deprecated && !namespace.is_empty() && !name.is_empty() => {
                Endpoint::Rows(rows().of_inventory(namespace, name))
            }
            ["status", "inventories"] if !deprecated => Endpoint::Inventories { namespace: rows().namespace },
            ["status", "targets"] if !deprecated => Endpoint::Targets { namespace: rows().namespace },
            _ => return None,
        };
        Some(Self { endpoint, deprecated })
    }

    /// The right that it needs.
    pub(crate) fn right(&self) -> RequiredRight {
        let list = |resource, namespace: &str| RequiredRight {
            verb: "list",
            resource,
            namespace: namespace.to_owned(),
            name: String::new(),
        };
        match &self.endpoint {
            Endpoint::Rows(query) | Endpoint::Watch(query) if query.inventory.is_empty() => {
                list("kollectinventories", &query.namespace)
            }
            Endpoint::Rows(query) | Endpoint::Watch(query) => RequiredRight {
                verb: "get",
                resource: "kollectinventories",
                namespace: query.namespace.clone(),
                // Without a namespace the name restricts nothing, so the right must not be restricted to it either.
                name: if query.namespace.is_empty() { String::new() } else { query.inventory.clone() },
            },
            Endpoint::Inventories { namespace } => list("kollectinventories", namespace),
            Endpoint::Targets { namespace } => list("kollecttargets", namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(path: &str, query: &str) -> Option<String> {
        let needed = Route::of(path, query)?.right();
        Some([needed.verb, needed.resource, &needed.namespace, &needed.name].join(" "))
    }

    #[test]
    fn every_path_takes_its_right_and_others_do_not_exist() {
        for (path, query, wanted) in [
            ("/v1alpha1/inventory", "", Some("list kollectinventories  ")),
            ("/v1alpha1/inventory", "namespace=shop", Some("list kollectinventories shop ")),
            ("/v1alpha1/inventory", "namespace=shop&inventory=daily", Some("get kollectinventories shop daily")),
            ("/v1alpha1/inventory", "inventory=daily", Some("get kollectinventories  ")),
            ("/v1alpha1/inventory/shop/daily", "namespace=pay", Some("get kollectinventories shop daily")),
            ("/v1alpha1/inventory/watch", "namespace=shop", Some("list kollectinventories shop ")),
            ("/v1alpha1/status/inventories", "", Some("list kollectinventories  ")),
            ("/v1alpha1/status/targets", "namespace=shop", Some("list kollecttargets shop ")),
            ("/inventory", "namespace=shop", Some("list kollectinventories shop ")),
            ("/inventory/watch", "", Some("list kollectinventories  ")),
            ("/inventory/shop/daily", "", None),
            ("/status/targets", "", None),
            ("/v1alpha1/inventory/", "", None),
            ("/v1alpha1/inventory//daily", "", None),
            ("/v1alpha1/inventory/shop/daily/x", "", None),
            ("/v1alpha1", "", None),
            ("/", "", None),
        ] {
            assert_eq!(right(path, query).as_deref(), wanted, "{path}?{query}");
        }
        assert!(Route::of("/inventory", "").unwrap().deprecated);
        assert!(!Route::of("/v1alpha1/inventory", "").unwrap().deprecated);
    }
}
