//! Permissions for Secrets: collecting their data, and sending one of another namespace to a server.
//!
//! The owner of the Secret permits both, never the author of the profile or sink that uses it.

use crate::Ceiling;
use core::net::IpAddr;
use kollect_api::KollectProfile;
use kollect_api::names::{TRUE, annotation};
use kollect_model::Gvk;
use std::collections::BTreeMap;

/// Scopes under which the opt-in annotation of a profile for the data of Secrets takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SecretExtractionPolicy {
    /// Nowhere.
    Never,
    /// Where every scope agrees, and there is one.
    #[default]
    Scoped,
    /// Everywhere, unless a scope has `Deny`.
    Any,
}

impl std::str::FromStr for SecretExtractionPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            "scoped" => Ok(Self::Scoped),
            "any" => Ok(Self::Any),
            _ => Err("must be never, scoped or any".to_owned()),
        }
    }
}

/// Whether a profile opts in to the data of core Secrets.
pub fn collects_secret_data(profile: &KollectProfile) -> bool {
    let opts_in = |all: &BTreeMap<String, String>| {
        all.get(annotation::ALLOW_SECRET_EXTRACTION).is_some_and(|value| value == TRUE)
    };
    is_core_secret(&Gvk::from(&profile.spec.target_gvk)) && profile.metadata.annotations.as_ref().is_some_and(opts_in)
}

/// Whether a kind is the core Secret, in any case of letters.
pub fn is_core_secret(gvk: &Gvk) -> bool {
    Gvk::new("", &gvk.version, "Secret").matches_ignoring_case(gvk) || gvk.is_core_secret()
}

/// Whether the opt-in of a profile takes effect under these scopes, or why not and what to do. `owner` is the kind of
/// scope that may agree, such as `KollectClusterScope`.
pub fn secret_extraction_allowed(
    policy: SecretExtractionPolicy,
    ceiling: &Ceiling<'_>,
    owner: &str,
) -> Result<(), String> {
    let remedy = "or remove the annotation kollect.dev/allow-secret-extraction from the profile";
    if policy == SecretExtractionPolicy::Never {
        return Err(format!(
            "the operator runs with --secret-extraction=never; use scoped to let scopes decide, {remedy}"
        ));
    }
    if let Some(scope) = ceiling.without_secret_extraction(policy == SecretExtractionPolicy::Any) {
        return Err(format!("{scope} does not agree to it; set secretExtraction: Allow there, {remedy}"));
    }
    if policy == SecretExtractionPolicy::Scoped && ceiling.is_empty() {
        return Err(format!("no {owner} agrees to it; create one with secretExtraction: Allow, {remedy}"));
    }
    Ok(())
}

/// A server to which a sink sends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DestinationHost {
    /// Name or address, also in brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The protocol's port with TLS, which an entry without a port matches.
    pub usual_port: u16,
}

/// The permissions of a Secret for its use from other namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SecretAgreement {
    namespaces: Vec<String>,
    hosts: Vec<(String, Option<u16>)>,
}

impl SecretAgreement {
    /// Parses the annotations of a Secret. Invalid entries permit nothing.
    pub fn of(annotations: Option<&BTreeMap<String, String>>) -> Self {
        let entries = |key: &str| {
            let text = annotations.and_then(|all| all.get(key)).map_or("", String::as_str);
            text.split([',', ' ', '\n', '\t']).filter(|entry| !entry.is_empty())
        };
        Self {
            namespaces: entries(annotation::ALLOWED_NAMESPACES).map(str::to_owned).collect(),
            hosts: entries(annotation::ALLOWED_HOSTS).filter_map(host_entry).collect(),
        }
    }

    /// Whether sinks of a namespace may use the Secret.
    pub fn allows_namespace(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|entry| entry == "*" || entry == namespace)
    }

    /// Whether the Secret may be sent to every one of these servers. Without a known server it may not.
    pub fn allows_hosts(&self, hosts: &[DestinationHost]) -> bool {
        !hosts.is_empty() && hosts.iter().all(|host| self.allows_host(host))
    }

    fn allows_host(&self, destination: &DestinationHost) -> bool {
        let Some(host) = canonical(&destination.host) else { return false };
        self.hosts
            .iter()
            .any(|(name, port)| *name == host && port.unwrap_or(destination.usual_port) == destination.port)
    }
}

/// `host`, `host:port`, `address`, `[address]` or `[address]:port`.
fn host_entry(entry: &str) -> Option<(String, Option<u16>)> {
    if entry.parse::<IpAddr>().is_ok() {
        return Some((canonical(entry)?, None));
    }
    let port_at = entry.rfind(':').filter(|at| !entry[*at..].contains(']'));
    match port_at {
        None => Some((canonical(entry)?, None)),
        Some(at) => Some((canonical(&entry[..at])?, Some(entry[at + 1..].parse().ok()?))),
    }
}

/// One spelling per host: no brackets, no trailing dot, lower case; addresses in their shortest form.
fn canonical(host: &str) -> Option<String> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(address.to_canonical().to_string());
    }
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    // Other characters are refused, so that no entry is ambiguous.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (!bare.is_empty() && bare.chars().all(plain)).then(|| bare.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kollect_api::{KollectClusterScope, KollectScope};
    use serde_json::{Value, json};

    fn agreement(namespaces: &str, hosts: &str) -> SecretAgreement {
        SecretAgreement::of(Some(&BTreeMap::from([
            (annotation::ALLOWED_NAMESPACES.to_owned(), namespaces.to_owned()),
            (annotation::ALLOWED_HOSTS.to_owned(), hosts.to_owned()),
        ])))
    }

    fn host(host: &str, port: u16) -> DestinationHost {
        DestinationHost { host: host.to_owned(), port, usual_port: 443 }
    }

    #[test]
    fn a_secret_without_annotations_agrees_to_nothing() {
        for agreement in [SecretAgreement::of(None), agreement("", ""), agreement(" , ", ",")] {
            assert!(!agreement.allows_namespace("x") && !agreement.allows_namespace(""));
            assert!(!agreement.allows_hosts(&[host("git.example", 443)]) && !agreement.allows_hosts(&[]));
        }
    }

    #[test]
    fn namespaces_are_compared_as_a_whole() {
        let two = agreement("team-a, team-b", "");
        for (namespace, allowed) in
            [("team-a", true), ("team-b", true), ("team", false), ("team-a, team-b", false), ("TEAM-A", false)]
        {
            assert_eq!(two.allows_namespace(namespace), allowed, "{namespace}");
        }
        assert!(agreement("*", "").allows_namespace("any"));
        assert!(!agreement("team-*", "").allows_namespace("team-a"), "only a lone * matches all");
    }

    #[test]
    fn a_secret_goes_to_the_hosts_and_ports_that_it_names_and_to_no_other() {
        for (entry, to, port, allowed) in [
            ("git.example", "git.example", 443, true),
            ("git.example", "GIT.example.", 443, true),
            ("GIT.example.", "git.example", 443, true),
            ("git.example", "git.example", 80, false),
            ("git.example", "git.example", 8443, false),
            ("git.example:8443", "git.example", 8443, true),
            ("git.example:8443", "git.example", 443, false),
            ("git.example:80", "git.example", 80, true),
            ("git.example", "evil.git.example", 443, false),
            ("git.example", "git.example.evil.test", 443, false),
            ("*.example", "git.example", 443, false),
            ("*", "git.example", 443, false),
            ("https://git.example", "git.example", 443, false),
            ("git.example:99999", "git.example", 443, false),
            ("git.example:", "git.example", 443, false),
            ("git.example@evil.test", "evil.test", 443, false),
            ("192.0.2.1", "::ffff:192.0.2.1", 443, true),
            ("[2001:DB8::1]", "[2001:db8:0::1]", 443, true),
            ("2001:db8::1", "2001:db8::1", 443, true),
            ("[2001:db8::1]:8443", "2001:db8::1", 8443, true),
            ("[2001:db8::1]:8443", "2001:db8::1", 443, false),
            ("192.0.2.1", "3221225985", 443, false),
            ("git.example", "", 443, false),
        ] {
            assert_eq!(agreement("*", entry).allows_hosts(&[host(to, port)]), allowed, "{entry} to {to}:{port}");
        }
    }

    #[test]
    fn every_host_of_a_destination_must_be_named() {
        let two = agreement("*", "a.example\nb.example:5432");
        assert!(two.allows_hosts(&[host("a.example", 443), host("b.example", 5432)]));
        assert!(!two.allows_hosts(&[host("a.example", 443), host("c.example", 443)]));
    }

    #[test]
    fn the_data_of_secrets_is_collected_only_where_every_scope_agrees() {
        use SecretExtractionPolicy::{Any, Never, Scoped};
        let allow = || json!({"secretExtraction": "Allow"});
        let deny = || json!({"secretExtraction": "Deny"});
        for (policy, scopes, allowed) in [
            (Scoped, vec![], false),
            (Scoped, vec![json!({})], false),
            (Scoped, vec![allow()], true),
            (Scoped, vec![deny()], false),
            (Scoped, vec![allow(), json!({})], false),
            (Scoped, vec![allow(), allow()], true),
            (Any, vec![], true),
            (Any, vec![json!({})], true),
            (Any, vec![deny()], false),
            (Any, vec![allow(), deny()], false),
            (Never, vec![], false),
            (Never, vec![allow()], false),
        ] {
            let spec = |value: &Value| serde_json::from_value(value.clone()).unwrap();
            let near: Vec<_> = scopes.iter().map(|value| KollectScope::new("s", spec(value))).collect();
            let wide: Vec<_> = scopes
                .iter()
                .map(|value| KollectClusterScope::new("s", serde_json::from_value(value.clone()).unwrap()))
                .collect();
            for ceiling in [Ceiling::of_namespace(&near), Ceiling::of_cluster(&wide)] {
                let verdict = secret_extraction_allowed(policy, &ceiling, "KollectScope");
                assert_eq!(verdict.is_ok(), allowed, "{policy:?} {scopes:?}");
                if let Err(why) = verdict {
                    assert!(why.contains("secretExtraction: Allow") || why.contains("=never"), "{why}");
                }
            }
        }
    }
}
