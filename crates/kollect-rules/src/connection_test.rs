//! The rules of KollectConnectionTest.

use crate::findings::Findings;
use crate::rule::rules;
use kollect_api::KollectConnectionTest;

rules! { "KollectConnectionTest";
    C1, CrdAndWebhook, "none, or more than one, of the three members of sinkRef is set", "exactly one of snapshotSinkRef, databaseSinkRef and eventSinkRef must be set";
    C2, CrdAndWebhook, "the name of the sink is blank or contains `/`", "must be the name of a sink of the same namespace";
    C3, CrdAndWebhook, "profileRef is set, and blank or with `/`", "must be the name of a KollectProfile of the same namespace";
    C4, Crd, "ttlSecondsAfterFinished is below 0", "must be 0 or more";
}

pub(crate) fn check_fields(found: &mut Findings, test: &KollectConnectionTest) {
    let of = &test.spec.sink_ref;
    let all = [
        ("snapshotSinkRef", &of.snapshot_sink_ref),
        ("databaseSinkRef", &of.database_sink_ref),
        ("eventSinkRef", &of.event_sink_ref),
    ];
    let set: Vec<(&str, &String)> = all
        .into_iter()
        .filter_map(|(field, name)| Some((field, name.as_ref().filter(|name| !name.is_empty())?)))
        .collect();
    if let [(field, name)] = set[..] {
        found.name(&C2, &format!("spec.sinkRef.{field}"), name);
    } else {
        found.add(&C1, "spec.sinkRef", "");
    }
    if let Some(profile) = &test.spec.profile_ref {
        found.name(&C3, "spec.profileRef", profile);
    }
    let ttl = test.spec.ttl_seconds_after_finished;
    if ttl < 0 {
        found.add(&C4, "spec.ttlSecondsAfterFinished", &ttl.to_string());
    }
}
