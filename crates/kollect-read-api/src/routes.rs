//! Paths: which one means what, and which right it takes.
//!
//! Separate and pure, so that no path can be served without a right that belongs to it.

use crate::access::Ask;
use crate::query::Query;

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A page of rows.
    Rows(Query),
    /// A page of rows now, and again after each change.
    Watch(Query),
    /// How inventories stand; an empty namespace means all.
    Inventories {
        /// Namespace.
        namespace: String,
    },
    /// How targets stand; an empty namespace means all.
    Targets {
        /// Namespace.
        namespace: String,
    },
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) wanted: Wanted,
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
        let wanted = match parts.as_slice() {
            ["inventory"] => Wanted::Rows(rows()),
            ["inventory", "watch"] => Wanted::Watch(rows()),
            ["inventory", namespace, name] if !deprecated && !namespace.is_empty() && !name.is_empty() => {
                Wanted::Rows(rows().of_inventory(namespace, name))
            }
            ["status", "inventories"] if !deprecated => Wanted::Inventories { namespace: rows().namespace },
            ["status", "targets"] if !deprecated => Wanted::Targets { namespace: rows().namespace },
            _ => return None,
        };
        Some(Self { wanted, deprecated })
    }

    /// The right that it takes.
    pub(crate) fn ask(&self) -> Ask {
        let list = |resource, namespace: &str| Ask {
            verb: "list",
            resource,
            namespace: namespace.to_owned(),
            name: String::new(),
        };
        match &self.wanted {
            Wanted::Rows(query) | Wanted::Watch(query) if query.inventory.is_empty() => {
                list("kollectinventories", &query.namespace)
            }
            Wanted::Rows(query) | Wanted::Watch(query) => Ask {
                verb: "get",
                resource: "kollectinventories",
                namespace: query.namespace.clone(),
                // Without a namespace the name restricts nothing, so the right must not be restricted to it either.
                name: if query.namespace.is_empty() { String::new() } else { query.inventory.clone() },
            },
            Wanted::Inventories { namespace } => list("kollectinventories", namespace),
            Wanted::Targets { namespace } => list("kollecttargets", namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(path: &str, query: &str) -> Option<String> {
        let ask = Route::of(path, query)?.ask();
        Some([ask.verb, ask.resource, &ask.namespace, &ask.name].join(" "))
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
