//! Checks the hosts that fields of sinks name against the network guard.
//!
//! Names are not resolved here; the dialer checks every resolved address again.

use super::rules::K8;
use crate::findings::Findings;
use kollect_api::{EventSinkType, KollectEventSinkSpec, KollectSnapshotSinkSpec};
use kollect_model::Guard;

pub(super) fn snapshot(found: &mut Findings, spec: &KollectSnapshotSinkSpec, guard: &Guard) {
    let Some(endpoint) = spec.common.endpoint.as_deref() else { return };
    let endpoint = endpoint.trim();
    let scheme = scheme(endpoint);
    // `s3://` and bare names lead to a bucket, not to a host.
    let bucket = !spec.type_.is_git() && matches!(scheme.as_deref(), None | Some("s3" | "gs"));
    if !bucket {
        check(found, "spec.endpoint", endpoint, scheme.is_none() && spec.type_.is_git(), guard);
    }
}

pub(super) fn event(found: &mut Findings, spec: &KollectEventSinkSpec, guard: &Guard) {
    if let Some(nats) = spec.nats.as_ref().filter(|_| spec.type_ == EventSinkType::Nats) {
        let (field, url) = match &nats.url {
            Some(url) if !url.trim().is_empty() => ("spec.nats.url", Some(url)),
            _ => ("spec.endpoint", spec.common.endpoint.as_ref()),
        };
        for part in url.into_iter().flat_map(|url| url.split(',')) {
            check(found, field, part.trim(), false, guard);
        }
    }
    if let Some(kafka) = spec.kafka.as_ref().filter(|_| spec.type_ == EventSinkType::Kafka) {
        for (i, broker) in kafka.brokers.iter().enumerate() {
            check(found, &format!("spec.kafka.brokers[{i}]"), broker.trim(), false, guard);
        }
    }
}

fn check(found: &mut Findings, field: &str, text: &str, scp_like: bool, guard: &Guard) {
    if scheme(text).as_deref() == Some("file") {
        return found.add_detail(&K8, field, "file:", "files of the operator's own machine are no destination");
    }
    let Some(host) = host(text, scp_like) else { return };
    if let Err(why) = guard.check_host(host) {
        // Only the host: the rest may contain a password.
        found.add_detail(&K8, field, host, why);
    }
}

/// `https` of `https://…`, in lower case.
fn scheme(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once(':')?;
    let named =
        !scheme.is_empty() && scheme.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.'));
    let is_url = rest.starts_with("//") || scheme.eq_ignore_ascii_case("file");
    (named && is_url).then(|| scheme.to_ascii_lowercase())
}

/// The host of a URL, of `host:port`, or of `user@host:path`.
fn host(text: &str, scp_like: bool) -> Option<&str> {
    let authority = match text.split_once("://") {
        Some((_, rest)) => rest.split(['/', '\\', '?', '#']).next()?,
        None if scp_like => {
            text.split_once(':').filter(|(before, _)| !before.contains('/')).map(|(before, _)| before)?
        }
        None => text.split('/').next()?,
    };
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let host = match place.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next()?,
        None if place.matches(':').count() > 1 => place,
        None => place.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_a_denied_range_is_refused_although_private_ones_are_allowed() {
        let guard = Guard { denied: [("10.96.0.0/12").parse().unwrap()].into(), ..Guard::open() };
        for (endpoint, refused) in
            [("https://10.96.0.1/x.git", true), ("git@10.96.7.7:x.git", true), ("https://10.1.0.1/x", false)]
        {
            let mut found = Findings::default();
            check(&mut found, "spec.endpoint", endpoint, true, &guard);
            assert_eq!(found.violations.is_empty(), !refused, "{endpoint}");
        }
    }

    #[test]
    fn the_host_is_found_in_every_form() {
        for (text, scp_like, expected) in [
            ("https://git.example/x.git", false, Some("git.example")),
            ("https://user:p@ss@10.0.0.1:8443/x", false, Some("10.0.0.1")),
            ("https://127.0.0.1\\@git.example/x", false, Some("127.0.0.1")),
            ("ssh://git@[fe80::1%eth0]:22/x", false, Some("fe80::1%eth0")),
            ("nats://localhost", false, Some("localhost")),
            ("kafka-0.example:9092", false, Some("kafka-0.example")),
            ("[::1]:9092", false, Some("::1")),
            ("::1", false, Some("::1")),
            ("git@git.example:team/x.git", true, Some("git.example")),
            ("git.example:team/x.git", true, Some("git.example")),
            ("/srv/x.git", true, None),
            ("https:///x", false, None),
        ] {
            assert_eq!(host(text, scp_like), expected, "{text}");
        }
    }
}
