//! What a request to the API server asks for, read from its method and path.
//!
//! Pure. It follows the API server's own words: verb and resource.

/// One request that went through the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub uri: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// Plural of the resource, with `/subresource` where there is one; empty for non-resource paths.
    pub resource: String,
    /// Namespace; empty when there is none.
    pub namespace: String,
    /// HTTP status of the answer; 0 while there is none.
    pub status: u16,
}

impl RequestRecord {
    pub(super) fn read(method: &str, uri: &str) -> Self {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let rest = match parts.as_slice() {
            ["api", _version, rest @ ..] | ["apis", _, _version, rest @ ..] => rest,
            _ => &[],
        };
        let (namespace, rest) = match rest {
            // A namespace itself is `/namespaces/<name>`, and its subresources have known names.
            ["namespaces", _, "status" | "finalize"] => ("", rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let resource = match rest {
            [resource, _, subresource, ..] => format!("{resource}/{subresource}"),
            [resource, ..] => (*resource).to_owned(),
            [] => String::new(),
        };
        let watching = query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
        let named = rest.len() > 1;
        let verb = match method {
            "GET" if watching => "watch",
            "GET" if named || resource.is_empty() => "get",
            "GET" => "list",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" if named => "delete",
            "DELETE" => "deletecollection",
            _ => "other",
        };
        let (method, uri, namespace) = (method.to_owned(), uri.to_owned(), namespace.to_owned());
        Self { method, uri, verb, resource, namespace, status: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_and_resources_are_read_from_the_path() {
        for (method, uri, verb, resource, namespace) in [
            ("GET", "/api/v1/configmaps?limit=500", "list", "configmaps", ""),
            ("GET", "/api/v1/namespaces/a/configmaps?watch=true", "watch", "configmaps", "a"),
            ("GET", "/api/v1/namespaces/a", "get", "namespaces", ""),
            ("GET", "/api/v1/namespaces", "list", "namespaces", ""),
            ("GET", "/apis/apps/v1/namespaces/a/deployments/d", "get", "deployments", "a"),
            (
                "PATCH",
                "/apis/kollect.dev/v1alpha1/namespaces/a/kollecttargets/t/status",
                "patch",
                "kollecttargets/status",
                "a",
            ),
            ("PUT", "/apis/coordination.k8s.io/v1/namespaces/k/leases/l", "update", "leases", "k"),
            ("DELETE", "/api/v1/nodes", "deletecollection", "nodes", ""),
            ("GET", "/readyz", "get", "", ""),
        ] {
            let record = RequestRecord::read(method, uri);
            assert_eq!((record.verb, &*record.resource, &*record.namespace), (verb, resource, namespace), "{uri}");
        }
    }
}
