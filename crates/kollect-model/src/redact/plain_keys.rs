//! Keys that nearly every Kubernetes object has and that are not sensitive.
//!
//! Most keys that are read are one of these: one comparison replaces the split into words.

const KEYS: &[&str] = &[
    "accessModes",
    "affinity",
    "allocatable",
    "annotations",
    "apiGroup",
    "apiVersion",
    "args",
    "availableReplicas",
    "binaryData",
    "blockOwnerDeletion",
    "capacity",
    "claimName",
    "clusterIP",
    "clusterIPs",
    "command",
    "completionTime",
    "conditions",
    "configMap",
    "configMapRef",
    "containerID",
    "containerPort",
    "containerStatuses",
    "containers",
    "controller",
    "cpu",
    "creationTimestamp",
    "currentReplicas",
    "data",
    "defaultMode",
    "dnsPolicy",
    "effect",
    "emptyDir",
    "enableServiceLinks",
    "endpoints",
    "exitCode",
    "externalIPs",
    "failureThreshold",
    "fieldPath",
    "fieldRef",
    "finalizers",
    "finishedAt",
    "fsGroup",
    "generateName",
    "generation",
    "host",
    "hostIP",
    "hostIPs",
    "hostNetwork",
    "hostPath",
    "hostPort",
    "http",
    "httpGet",
    "image",
    "imageID",
    "imagePullPolicy",
    "ingressClassName",
    "initContainerStatuses",
    "initContainers",
    "initialDelaySeconds",
    "internalTrafficPolicy",
    "ip",
    "ipFamilies",
    "ipFamilyPolicy",
    "items",
    "kind",
    "labelSelector",
    "labels",
    "lastProbeTime",
    "lastState",
    "lastTransitionTime",
    "lastUpdateTime",
    "limits",
    "livenessProbe",
    "loadBalancer",
    "managedFields",
    "matchExpressions",
    "matchLabels",
    "maxSurge",
    "maxUnavailable",
    "memory",
    "message",
    "metadata",
    "minReadySeconds",
    "mode",
    "mountPath",
    "namespace",
    "nodeAffinity",
    "nodeName",
    "nodePort",
    "nodeSelector",
    "observedGeneration",
    "operator",
    "optional",
    "ownerReferences",
    "parallelism",
    "path",
    "pathType",
    "periodSeconds",
    "persistentVolumeClaim",
    "phase",
    "podAntiAffinity",
    "podIP",
    "podIPs",
    "podManagementPolicy",
    "port",
    "ports",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "progressDeadlineSeconds",
    "projected",
    "protocol",
    "qosClass",
    "readOnly",
    "readinessProbe",
    "ready",
    "readyReplicas",
    "reason",
    "replicas",
    "requests",
    "resourceVersion",
    "resources",
    "restartCount",
    "restartPolicy",
    "revisionHistoryLimit",
    "roleRef",
    "rollingUpdate",
    "rules",
    "running",
    "runAsNonRoot",
    "runAsUser",
    "scheme",
    "schedulerName",
    "securityContext",
    "selector",
    "service",
    "serviceAccountName",
    "serviceName",
    "sessionAffinity",
    "sources",
    "spec",
    "startTime",
    "started",
    "startedAt",
    "state",
    "status",
    "storageClassName",
    "strategy",
    "subjects",
    "successThreshold",
    "suspend",
    "targetPort",
    "template",
    "terminated",
    "terminationGracePeriodSeconds",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "timeoutSeconds",
    "tolerationSeconds",
    "tolerations",
    "topologyKey",
    "topologySpreadConstraints",
    "type",
    "uid",
    "unavailableReplicas",
    "updateStrategy",
    "updatedReplicas",
    "valueFrom",
    "version",
    "volumeClaimTemplates",
    "volumeMounts",
    "volumeName",
    "volumes",
    "waiting",
    "whenUnsatisfiable",
];

const SLOTS: usize = 1024;

/// The slot of a key if it is in the table.
const fn slot(key: &[u8]) -> usize {
    let (first, middle, last) = (key[0] as usize, key[key.len() / 2] as usize, key[key.len() - 1] as usize);
    (key.len() * 131 + first * 31 + middle * 17 + last * 7) % SLOTS
}

/// One key per slot. Of two keys with one slot the first is not found, which costs time and nothing else.
static TABLE: [&str; SLOTS] = {
    let mut table = [""; SLOTS];
    let mut at = 0;
    while at < KEYS.len() {
        table[slot(KEYS[at].as_bytes())] = KEYS[at];
        at += 1;
    }
    table
};

/// Whether a key is known to mark neither its own value as a secret nor that of another member.
#[inline]
pub fn is_plain_key(key: &str) -> bool {
    !key.is_empty() && TABLE[slot(key.as_bytes())] == key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact;

    #[test]
    fn plain_keys_are_not_sensitive() {
        for key in KEYS {
            let says = redact::sensitivity(key).is_some()
                || redact::is_naming(key)
                || redact::is_paired_value(key)
                || redact::is_copy(key)
                || redact::text(key).is_some()
                || matches!(*key, "tls" | "secretKey");
            assert!(!says, "{key}");
        }
    }

    #[test]
    fn nearly_all_of_them_are_found_and_nothing_else() {
        let found = KEYS.iter().filter(|key| is_plain_key(key)).count();
        assert!(found * 10 > KEYS.len() * 9, "{found} of {}", KEYS.len());
        assert!(!["", "password", "name", "x", "Spec", "specs"].iter().any(|key| is_plain_key(key)));
    }
}
