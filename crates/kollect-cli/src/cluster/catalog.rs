//! The kinds that a cluster serves, and which of them a user names.

use kollect_model::Gvk;
use kube::api::ApiResource;
use kube::core::GroupVersionKind;
use kube::discovery::{ApiCapabilities, Discovery, Scope};

/// A kind as a cluster serves it.
#[derive(Clone, Debug)]
pub struct ServedKind {
    /// Its names.
    pub resource: ApiResource,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Whether its objects can be listed and watched.
    pub collectable: bool,
}

impl From<(ApiResource, ApiCapabilities)> for ServedKind {
    fn from((resource, capabilities): (ApiResource, ApiCapabilities)) -> Self {
        Self {
            resource,
            namespaced: capabilities.scope == Scope::Namespaced,
            collectable: ["list", "watch"].iter().all(|verb| capabilities.supports_operation(verb)),
        }
    }
}

impl ServedKind {
    /// Its group, version and kind.
    pub fn gvk(&self) -> Gvk {
        Gvk::new(&self.resource.group, &self.resource.version, &self.resource.kind)
    }
}

/// Everything a cluster serves.
pub struct Catalog(Discovery);

impl Catalog {
    pub(super) fn new(discovery: Discovery) -> Self {
        Self(discovery)
    }

    /// The kind of a group and version, if it is served.
    pub fn get(&self, gvk: &Gvk) -> Option<ServedKind> {
        self.0.resolve_gvk(&GroupVersionKind::gvk(&gvk.group, &gvk.version, &gvk.kind)).map(ServedKind::from)
    }

    /// All kinds in their preferred versions.
    pub fn kinds(&self) -> Vec<ServedKind> {
        self.0.groups().flat_map(kube::discovery::ApiGroup::recommended_resources).map(ServedKind::from).collect()
    }
}

/// The kind that a user means by `Deployment`, `deployments` or `Deployment.apps`.
pub fn find_kind(catalog: &Catalog, text: &str) -> Result<ServedKind, String> {
    let (name, group) = match text.split_once('.') {
        Some((name, group)) => (name, Some(group)),
        None => (text, None),
    };
    let fits = |kind: &ServedKind| {
        let resource = &kind.resource;
        (resource.kind.eq_ignore_ascii_case(name) || resource.plural.eq_ignore_ascii_case(name))
            && group.is_none_or(|group| group == resource.group)
    };
    let mut found: Vec<ServedKind> = catalog.kinds().into_iter().filter(fits).collect();
    // The metrics API and the like serve kinds without the verbs list and watch.
    if found.iter().any(|kind| kind.collectable) {
        found.retain(|kind| kind.collectable);
    }
    match found.as_slice() {
        [_] => Ok(found.swap_remove(0)),
        [] => Err(format!("the cluster serves no kind {text:?}; kubectl api-resources lists them")),
        several => {
            let names: Vec<_> =
                several.iter().map(|kind| format!("{}.{}", kind.resource.kind, kind.resource.group)).collect();
            Err(format!("several kinds are called {text:?}; choose one with its group: {}", names.join(", ")))
        }
    }
}
