//! The built-in kinds that are cluster-scoped.
//!
//! Without an API server the scope of a built-in kind is known only from this table; other kinds are classified by their
//! CustomResourceDefinition or by their objects.

/// Sorted; the API group does not matter.
const CLUSTER_KINDS: [&str; 34] = [
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "ComponentStatus",
    "CustomResourceDefinition",
    "DeviceClass",
    "DeviceTaintRule",
    "FlowSchema",
    "IPAddress",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PodSecurityPolicy",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "ResourceSlice",
    "RuntimeClass",
    "SelfSubjectReview",
    "ServiceCIDR",
    "StorageClass",
    "StorageVersion",
    "StorageVersionMigration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttributesClass",
];

/// Whether a built-in kind is namespaced; `None` for other kinds.
pub(super) fn built_in(group: &str, kind: &str) -> Option<bool> {
    let own = !group.contains('.') || group.ends_with(".k8s.io");
    own.then(|| CLUSTER_KINDS.binary_search(&kind).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_kubernetes_are_known_and_others_are_not() {
        assert!(CLUSTER_KINDS.is_sorted());
        for (group, kind, wanted) in [
            ("", "Node", Some(false)),
            ("", "ConfigMap", Some(true)),
            ("apps", "Deployment", Some(true)),
            ("rbac.authorization.k8s.io", "ClusterRole", Some(false)),
            ("networking.k8s.io", "Ingress", Some(true)),
            ("cert-manager.io", "ClusterIssuer", None),
        ] {
            assert_eq!(built_in(group, kind), wanted, "{group}/{kind}");
        }
    }
}
