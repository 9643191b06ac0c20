//! Which kinds the API server serves, under which resource name: plurals are read from discovery, never guessed.

use crate::plan::Gvr;
use crate::watch::request::get_document;
use crate::watch::request_error::RequestError;
use kollect_model::Gvk;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// The core API and the groups.
const DOCUMENTS: [&str; 2] = ["/api", "/apis"];
/// Larger than the document of any cluster.
const LIMIT: usize = 64 << 20;

/// How a kind is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServedKind {
    pub(crate) gvr: Gvr,
    pub(crate) namespaced: bool,
}

/// Every kind that can be listed and watched.
#[derive(Debug, Default)]
pub(crate) struct ApiCatalog {
    documents: [HashMap<Gvk, ServedKind>; 2],
    etags: [Option<String>; 2],
}

impl ApiCatalog {
    pub(crate) fn get(&self, gvk: &Gvk) -> Option<&ServedKind> {
        // Specs may name the core group.
        let core = (&*gvk.group == "core").then(|| Gvk { group: Arc::default(), ..gvk.clone() });
        let gvk = core.as_ref().unwrap_or(gvk);
        self.documents.iter().find_map(|document| document.get(gvk))
    }
}

#[derive(Deserialize)]
struct Groups<'a> {
    #[serde(borrow, default)]
    items: Vec<Group<'a>>,
}

#[derive(Deserialize)]
struct Group<'a> {
    #[serde(borrow, default)]
    metadata: GroupMeta<'a>,
    #[serde(borrow, default)]
    versions: Vec<GroupVersion<'a>>,
}

#[derive(Default, Deserialize)]
struct GroupMeta<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct GroupVersion<'a> {
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow, default)]
    resources: Vec<Resource<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource<'a> {
    #[serde(borrow, rename = "resource")]
    plural: Cow<'a, str>,
    #[serde(borrow)]
    response_kind: Option<ResponseKind<'a>>,
    #[serde(borrow, default)]
    scope: Cow<'a, str>,
    #[serde(borrow, default)]
    verbs: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ResponseKind<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

fn parse(document: &[u8]) -> Result<HashMap<Gvk, ServedKind>, RequestError> {
    let garbled = |e: serde_json::Error| RequestError::Garbled(format!("discovery document: {e}"));
    let groups: Groups<'_> = serde_json::from_slice(document).map_err(garbled)?;
    let mut kinds = HashMap::new();
    for group in &groups.items {
        for version in &group.versions {
            for resource in &version.resources {
                let can = |verb: &str| resource.verbs.iter().any(|known| known == verb);
                let Some(kind) = resource.response_kind.as_ref().filter(|_| can("list") && can("watch")) else {
                    continue;
                };
                let gvr = Gvr::new(&group.metadata.name, &version.version, &resource.plural);
                let gvk = Gvk::new(&group.metadata.name, &version.version, &kind.kind);
                let served = ServedKind { gvr, namespaced: resource.scope == "Namespaced" };
                kinds.entry(gvk).or_insert(served);
            }
        }
    }
    Ok(kinds)
}

/// Reads the documents that changed since `known`.
pub(crate) async fn fetch(
    client: &kube::Client,
    known: Option<Arc<ApiCatalog>>,
) -> Result<Arc<ApiCatalog>, RequestError> {
    let mut catalog = ApiCatalog::default();
    for (at, uri) in DOCUMENTS.iter().enumerate() {
        let before = known.as_ref().map(|known| (&known.documents[at], &known.etags[at]));
        let etag = before.and_then(|(_, etag)| etag.as_deref());
        match (get_document(client, uri, ACCEPT, etag, LIMIT).await?, before) {
            (Some((bytes, etag)), _) => {
                catalog.documents[at] = parse(&bytes)?;
                catalog.etags[at] = etag;
            }
            (None, Some((kinds, etag))) => {
                catalog.documents[at].clone_from(kinds);
                catalog.etags[at].clone_from(etag);
            }
            (None, None) => return Err(RequestError::Garbled("discovery answered nothing".into())),
        }
    }
    Ok(Arc::new(catalog))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_from_discovery_and_only_if_they_can_be_watched() {
        let document = r#"{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"zoo.example"},"versions":[{"version":"v1","freshness":"Current","resources":[
            {"resource":"oxen","responseKind":{"group":"zoo.example","version":"v1","kind":"Ox"},"scope":"Namespaced","verbs":["get","list","watch"],
             "subresources":[{"subresource":"status","responseKind":{"group":"","version":"","kind":"Ox"},"verbs":["get"]}]},
            {"resource":"zoos","responseKind":{"group":"zoo.example","version":"v1","kind":"Zoo"},"scope":"Cluster","verbs":["list","watch"]},
            {"resource":"tickets","responseKind":{"group":"zoo.example","version":"v1","kind":"Ticket"},"scope":"Namespaced","verbs":["create"]}]}]}]}"#;
        let kinds = parse(document.as_bytes()).unwrap();
        let find = |kind: &str| kinds.get(&Gvk::new("zoo.example", "v1", kind)).cloned();
        assert_eq!(find("Ox"), Some(ServedKind { gvr: Gvr::new("zoo.example", "v1", "oxen"), namespaced: true }));
        assert_eq!(find("Zoo").map(|served| served.namespaced), Some(false));
        assert_eq!(find("Ticket"), None);
        assert!(parse(b"{}").unwrap().is_empty());
    }
}
