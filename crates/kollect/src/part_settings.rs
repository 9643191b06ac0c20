//! The settings of rules, sinks and control loops, made from the flags and the environment.

use crate::args::OperatorArgs;
use crate::settings::Settings;
use crate::sinks::Registry;
use kollect_control::context::ControlSettings;
use kollect_net::{Cidr, Guard};
use kollect_resources::target::CollectPolicy;
use kollect_rules::RuleSettings;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The sinks, with the addresses that they may reach.
pub(crate) fn registry(args: &OperatorArgs) -> Registry {
    Registry {
        guard: Guard {
            allow_private: args.allow_private_sinks,
            allow_loopback: args.allow_loopback_sinks,
            quote_private: false,
            denied: denied_sink_cidrs(args),
        },
        pools: kollect_sink_postgres::ConnectionPools::default(),
        mirror_root: mirror_root(),
        force_basic_auth: force_basic_auth(),
        max_document: u64::try_from(max_export_bytes(args)).unwrap_or(0),
    }
}

/// The ranges of the flag, and the address of the API server in Pods, which no sink needs.
fn denied_sink_cidrs(args: &OperatorArgs) -> Arc<[Cidr]> {
    denied_cidrs(&args.denied_sink_cidrs, std::env::var("KUBERNETES_SERVICE_HOST").ok().as_deref())
}

fn denied_cidrs(given: &[Cidr], server: Option<&str>) -> Arc<[Cidr]> {
    let server = server.and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    // A server on this machine, as in a demo, is the concern of --allow-loopback-sinks.
    let server = server.filter(|address| !address.is_loopback()).map(Cidr::from);
    given.iter().copied().chain(server).collect()
}

/// `KOLLECT_GIT_FORCE_BASIC_AUTH`.
pub(crate) fn force_basic_auth() -> bool {
    let forced = std::env::var("KOLLECT_GIT_FORCE_BASIC_AUTH").unwrap_or_default();
    ["1", "true", "yes"].contains(&forced.to_lowercase().as_str())
}

/// Where copies of repositories are kept.
pub(crate) fn mirror_root() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("KOLLECT_GIT_MIRROR_DIR")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("kollect/git-mirrors")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/kollect/git-mirrors")))
        .unwrap_or_else(|| std::env::temp_dir().join("kollect-git-mirrors"))
}

fn max_export_bytes(args: &OperatorArgs) -> i64 {
    if args.max_export_bytes > 0 { args.max_export_bytes } else { RuleSettings::default().max_export_bytes }
}

/// The same limits for the webhook and for the control loops.
pub(crate) fn rule_settings(args: &OperatorArgs) -> RuleSettings {
    RuleSettings {
        max_export_bytes: max_export_bytes(args),
        tenant_mode: args.tenant_mode,
        allow_private_sinks: args.allow_private_sinks,
        allow_loopback_sinks: args.allow_loopback_sinks,
        denied_sink_cidrs: denied_sink_cidrs(args),
        secret_extraction: args.secret_extraction,
    }
}

pub(crate) fn control_settings(args: &OperatorArgs, settings: &Settings) -> ControlSettings {
    let policy = CollectPolicy {
        secret_extraction: args.secret_extraction,
        operator_namespace: settings.namespace.clone(),
        own_secrets: vec![args.webhook.webhook_secret_name.clone()],
        default_included_namespaces: args.default_included_namespaces.clone(),
        default_excluded_namespaces: args.default_excluded_namespaces.clone(),
        tenant_mode: args.tenant_mode,
    };
    ControlSettings {
        policy,
        watch_namespaces: args.watch_namespaces.clone(),
        scrub_keys: args.scrub_keys.clone(),
        max_export_bytes: max_export_bytes(args),
        shard_warn_rows: args.export_shard_warn_rows,
        allowed_secret_namespaces: args.allowed_secret_namespaces.clone(),
        target_count_resync: if args.target_count_resync.is_zero() {
            Duration::from_mins(1)
        } else {
            args.target_count_resync
        },
        identity: settings.leader_election.as_ref().map_or_else(|| "kollect".to_owned(), |e| e.identity.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_api_server_is_denied_beside_the_given_ranges() {
        let given = ["10.0.0.0/8".parse().unwrap()];
        let denies = |server: Option<&str>, address: &str| {
            denied_cidrs(&given, server).iter().any(|range| range.contains(address.parse().unwrap()))
        };
        assert!(denies(None, "10.1.2.3") && !denies(None, "172.20.0.1"));
        assert!(denies(Some("172.20.0.1"), "172.20.0.1") && !denies(Some("172.20.0.1"), "172.20.0.2"));
        assert!(denies(Some("fd00::1"), "fd00::1") && denies(Some("[fd00::1]"), "fd00::1"));
        assert!(!denies(Some("127.0.0.1"), "127.0.0.1") && !denies(Some("kubernetes"), "172.20.0.1"));
    }
}
