//! The flags of `kollect operator`, with the names and defaults that existing manifests use.

use clap::{ArgAction, Args};
use kollect_admission::manifest;
use kollect_api::GoDuration;
use std::time::Duration;

/// A Go-style switch: `--x`, `--x=true` and `--x=false` all work.
macro_rules! switch_parser {
    () => {
        clap::builder::BoolishValueParser::new()
    };
}

fn duration(text: &str) -> Result<Duration, String> {
    GoDuration::new(text).to_duration().map_err(|e| e.to_string())
}

/// Watch the cluster and keep the sinks equal to it.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  kollect operator --leader-elect --metrics-bind-address=:8080 --metrics-secure=false\n  \
kollect operator --kubeconfig ~/.kube/config --watch-namespaces=team-a,team-b"
)]
#[expect(clippy::struct_excessive_bools, reason = "one field per flag of the command line")]
pub(crate) struct OperatorArgs {
    /// Kubeconfig file; without it the in-cluster configuration, then $KUBECONFIG
    #[arg(long)]
    pub kubeconfig: Option<std::path::PathBuf>,
    /// Address of /metrics, for example :8080; 0 turns it off
    #[arg(long, default_value = "0")]
    pub metrics_bind_address: String,
    /// Serve /metrics with TLS and check the caller's token (not available yet: set false)
    #[arg(long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = switch_parser!())]
    pub metrics_secure: bool,
    /// Address of /healthz and /readyz; 0 turns it off
    #[arg(long, default_value = ":8081")]
    pub health_probe_bind_address: String,
    /// Let one of several replicas lead; the others wait as standbys
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = switch_parser!())]
    pub leader_elect: bool,
    /// How long standbys wait before they take over a lease that is not renewed
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub leader_elect_lease_duration: Duration,
    /// How long the leader goes on without reaching the API server
    #[arg(long, default_value = "40s", value_parser = duration)]
    pub leader_elect_renew_deadline: Duration,
    /// Pause after a failed renewal and between polls of a standby
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub leader_elect_retry_period: Duration,
    /// Namespace of the Lease; default: the pod's namespace, else kollect-system
    #[arg(long, env = "POD_NAMESPACE")]
    pub leader_elect_namespace: Option<String>,
    /// Identity in the Lease; default: the pod's UID, else host name and process
    #[arg(long, env = "POD_UID", hide = true)]
    pub leader_elect_identity: Option<String>,
    /// Serve HTTP/2 on /metrics and webhooks (not available: only false)
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = switch_parser!())]
    pub enable_http2: bool,
    /// Review Kollect objects before the API server stores them; default: true, with --tenant-mode false
    #[arg(long, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = switch_parser!())]
    pub validating_webhooks_enabled: Option<bool>,
    #[command(flatten)]
    pub webhook: WebhookArgs,
    /// Refuse cluster-scoped Kollect kinds and need no cluster-wide rights
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = switch_parser!())]
    pub tenant_mode: bool,
    /// Allow sinks at private addresses (RFC 1918, IPv6 ULA)
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = switch_parser!())]
    pub allow_private_sinks: bool,
    /// Allow sinks on this machine's loopback address; for demos and tests only
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = switch_parser!())]
    pub allow_loopback_sinks: bool,
    /// Ranges of addresses where no sink may be, comma-separated or repeated, for example the Pod and Service networks;
    /// wins over --allow-private-sinks. The address of the API server is always denied
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub denied_sink_cidrs: Vec<kollect_model::Cidr>,
    /// Namespaces, besides a sink's own and the operator's, whose Secrets a sink may use. Of another namespace than the
    /// sink's, only Secrets that agree, with the annotations kollect.dev/allowed-namespaces and kollect.dev/allowed-hosts
    #[arg(long, value_delimiter = ',')]
    pub allowed_secret_namespaces: Vec<String>,
    /// Where profiles with the annotation kollect.dev/allow-secret-extraction may collect the data of Secrets: never,
    /// scoped (where the KollectScopes of the target's namespace, or the KollectClusterScopes, have secretExtraction:
    /// Allow) or any (everywhere, unless a scope has Deny)
    #[arg(long, default_value = "scoped")]
    pub secret_extraction: kollect_rules::SecretExtractionPolicy,
    /// Serve the inventory read API: the rows in memory and the states of exports, on the leader, without TLS
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = switch_parser!())]
    pub inventory_http_enabled: bool,
    /// Port of the read API
    #[arg(long, default_value_t = 8082)]
    pub inventory_http_port: u16,
    /// Who may use the read API: kubernetes (the API server decides by the caller's token) or disabled (every client)
    #[arg(long, default_value = "kubernetes")]
    pub inventory_auth_mode: String,
    /// How long the read API remembers what the API server decided; 0 = not at all
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub inventory_auth_cache_ttl: Duration,
    /// Largest document in bytes; bigger ones are split or refused
    #[arg(long, default_value_t = 1_572_864)]
    pub max_export_bytes: i64,
    /// Give up an export after this long without progress
    #[arg(long, default_value = "2m", value_parser = duration)]
    pub export_timeout: Duration,
    /// Rows in one inventory from which a document sink gets a shard warning
    #[arg(long, default_value_t = 1800)]
    pub export_shard_warn_rows: u64,
    /// Accepted for compatibility and without effect; one task decides for all objects
    #[arg(long, default_value_t = 5)]
    pub max_concurrent_reconciles_target: u32,
    /// Accepted for compatibility and without effect; one task decides for all objects
    #[arg(long, default_value_t = 3)]
    pub max_concurrent_reconciles_inventory: u32,
    /// Accepted for compatibility and without effect; one task decides for all objects
    #[arg(long, default_value_t = 2)]
    pub max_concurrent_reconciles_cluster_target: u32,
    /// Accepted for compatibility and without effect; one task decides for all objects
    #[arg(long, default_value_t = 2)]
    pub max_concurrent_reconciles_cluster_inventory: u32,
    /// Accepted for compatibility and without effect; every retry has a back-off of its own
    #[arg(long, default_value = "0", value_parser = duration)]
    pub reconcile_rate_limit: Duration,
    /// Longest age of `status.collectedCount`
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub target_count_resync: Duration,
    /// Serve profiles (not available yet: only false)
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = switch_parser!())]
    pub enable_pprof: bool,
    /// Only watch these namespaces, comma-separated; empty = all
    #[arg(long, value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Namespaces a target collects from when it names none
    #[arg(long, value_delimiter = ',')]
    pub default_included_namespaces: Vec<String>,
    /// Namespaces no target collects from
    #[arg(long, value_delimiter = ',')]
    pub default_excluded_namespaces: Vec<String>,
    /// More key names whose values are redacted
    #[arg(long, value_delimiter = ',')]
    pub scrub_keys: Vec<String>,
    /// Workers that turn objects into rows
    #[arg(long, default_value_t = 4)]
    pub collect_dispatch_workers: i64,
    /// Objects that may wait for a worker
    #[arg(long, default_value_t = 512)]
    pub collect_dispatch_queue_size: i64,
    /// Memory that all rows may take, e.g. 350Mi; beyond it the newest target is not collected, and its status reports it.
    /// 0 = no limit; default: 70 % of the container's memory limit
    #[arg(long, value_parser = crate::memory_limit::parse)]
    pub max_store_bytes: Option<u64>,
    /// Largest row, e.g. 1Mi; an object whose attributes take more has no row, and the status of its target reports it
    #[arg(long, default_value = "1Mi", value_parser = crate::memory_limit::parse)]
    pub max_row_bytes: u64,
    /// Accepted for compatibility and without effect; a full queue always blocks its reader
    #[arg(long, default_value = "25ms", value_parser = duration)]
    pub collect_dispatch_enqueue_wait: Duration,
    /// Accepted for compatibility and without effect; there is no resync because nothing is cached
    #[arg(long, default_value = "12h", value_parser = duration)]
    pub informer_resync_period: Duration,
    /// Accepted for compatibility and without effect; metrics follow every change
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub collect_metrics_sample_interval: Duration,
    /// Human-readable logs on by default, as in earlier releases
    #[arg(long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = switch_parser!())]
    pub zap_devel: bool,
    /// Log format; default: console with --zap-devel, else json
    #[arg(long, value_parser = ["json", "console"])]
    pub zap_encoder: Option<String>,
    /// Log level: debug, info, warn, error, or a number (1 = debug)
    #[arg(long, default_value = "info")]
    pub zap_log_level: String,
    /// Accepted for compatibility
    #[arg(long, hide = true)]
    pub zap_stacktrace_level: Option<String>,
    /// Accepted for compatibility; times are RFC 3339
    #[arg(long, hide = true)]
    pub zap_time_encoding: Option<String>,
}

/// Address and certificate of the validating webhook.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "named like the flags")]
pub(crate) struct WebhookArgs {
    /// Address of the webhook
    #[arg(long, default_value = ":9443")]
    pub webhook_bind_address: String,
    /// Directory with a certificate of your own for the webhook; without it the operator makes one and keeps it trusted
    #[arg(long, default_value = "")]
    pub webhook_cert_path: String,
    /// File of the certificate in --webhook-cert-path
    #[arg(long, default_value = "tls.crt")]
    pub webhook_cert_name: String,
    /// File of the private key in --webhook-cert-path
    #[arg(long, default_value = "tls.key")]
    pub webhook_cert_key: String,
    /// Service by which the API server reaches the webhook
    #[arg(long, default_value = manifest::SERVICE)]
    pub webhook_service_name: String,
    /// More host names or addresses by which the API server reaches the webhook, comma-separated
    #[arg(long, value_delimiter = ',')]
    pub webhook_host_names: Vec<String>,
    /// Secret in the operator's namespace that keeps the certificate made by the operator
    #[arg(long, default_value = manifest::SECRET)]
    pub webhook_secret_name: String,
    /// ValidatingWebhookConfiguration whose caBundle the operator keeps right
    #[arg(long, default_value = manifest::CONFIGURATION)]
    pub webhook_configuration_name: String,
    /// Lifetime of the certificate made by the operator; a new one is made after two thirds
    #[arg(long, default_value = "2160h", value_parser = duration)]
    pub webhook_cert_lifetime: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_of_a_flag_without_effect_states_that() {
        let command = OperatorArgs::augment_args(clap::Command::new("operator"));
        for flag in [
            "max-concurrent-reconciles-target",
            "max-concurrent-reconciles-inventory",
            "max-concurrent-reconciles-cluster-target",
            "max-concurrent-reconciles-cluster-inventory",
            "reconcile-rate-limit",
            "collect-dispatch-enqueue-wait",
            "informer-resync-period",
            "collect-metrics-sample-interval",
        ] {
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(flag)).expect(flag);
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("without effect"), "--{flag}: {help}");
        }
    }
}
