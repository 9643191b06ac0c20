//! Fields without which a sink cannot connect.
//!
//! Admission accepts sinks without them, because they may be added later; the operator does not build such sinks.

use super::rules::K19;
use crate::findings::Findings;
use kollect_api::{
    DatabaseSinkType, EventSinkType, GitlabMergeMode, KollectDatabaseSinkSpec, KollectEventSinkSpec,
    KollectSnapshotSinkSpec, SecretReference, SinkCommon,
};

/// A field and its message.
pub(super) type Lack = (&'static str, &'static str);

const MISSING: &str = "must not be empty or blank";

/// Adds a violation per missing field.
pub(super) fn add(found: &mut Findings, lacks: Vec<Lack>) {
    for (field, why) in lacks {
        found.text(&K19, field, "", why);
    }
}

fn blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn secret(lacks: &mut Vec<Lack>, field: &'static str, secret: Option<&SecretReference>) {
    if secret.is_some_and(|secret| blank(&secret.name)) {
        lacks.push((field, MISSING));
    }
}

fn common(lacks: &mut Vec<Lack>, common: &SinkCommon) {
    secret(lacks, "spec.secretRef.name", common.secret_ref.as_ref());
    let Some(tls) = &common.tls else { return };
    secret(lacks, "spec.tls.caSecretRef.name", tls.ca_secret_ref.as_ref());
    if tls.ca_bundle.is_some() && tls.ca_secret_ref.is_some() {
        lacks.push(("spec.tls", "must not have both caBundle and caSecretRef; remove one"));
    }
}

pub(super) fn snapshot(spec: &KollectSnapshotSinkSpec) -> Vec<Lack> {
    let mut lacks = Vec::new();
    if blank(spec.common.endpoint.as_deref().unwrap_or_default()) {
        lacks.push(("spec.endpoint", MISSING));
    }
    common(&mut lacks, &spec.common);
    let request = spec.gitlab.as_ref().and_then(|gitlab| gitlab.merge_request.as_ref());
    if let Some(request) = request.filter(|request| request.mode == Some(GitlabMergeMode::MergeRequest))
        && blank(request.target_branch.as_deref().unwrap_or_default())
    {
        lacks.push(("spec.gitlab.mergeRequest.targetBranch", MISSING));
    }
    lacks
}

pub(super) fn database(spec: &KollectDatabaseSinkSpec) -> Vec<Lack> {
    let mut lacks = Vec::new();
    common(&mut lacks, &spec.common);
    let mut need = |field, text: &str| {
        if blank(text) {
            lacks.push((field, MISSING));
        }
    };
    match spec.type_ {
        DatabaseSinkType::Postgres => {
            if let Some(postgres) = &spec.postgres {
                need("spec.postgres.databaseRef.name", &postgres.database_ref.name);
                need("spec.postgres.table", &postgres.table);
            }
        }
        DatabaseSinkType::Mongodb => {
            if let Some(mongodb) = &spec.mongodb {
                need("spec.mongodb.databaseRef.name", &mongodb.database_ref.name);
                need("spec.mongodb.database", &mongodb.database);
                need("spec.mongodb.collection", &mongodb.collection);
            }
        }
        DatabaseSinkType::Bigquery => {}
    }
    lacks
}

pub(super) fn event(spec: &KollectEventSinkSpec) -> Vec<Lack> {
    let mut lacks = Vec::new();
    common(&mut lacks, &spec.common);
    match spec.type_ {
        EventSinkType::Nats => {
            if let Some(nats) = &spec.nats {
                let url = nats.url.as_deref().or(spec.common.endpoint.as_deref()).unwrap_or_default();
                if blank(url) {
                    lacks.push(("spec.nats.url", "must name the server, unless spec.endpoint does"));
                }
                if blank(&nats.subject) {
                    lacks.push(("spec.nats.subject", MISSING));
                }
                secret(&mut lacks, "spec.nats.secretRef.name", nats.secret_ref.as_ref());
            }
        }
        EventSinkType::Kafka => {
            if let Some(kafka) = &spec.kafka {
                if kafka.brokers.iter().all(|broker| blank(broker)) {
                    lacks.push(("spec.kafka.brokers", "must name at least one broker"));
                }
                if blank(&kafka.topic) {
                    lacks.push(("spec.kafka.topic", MISSING));
                }
                secret(&mut lacks, "spec.kafka.secretRef.name", kafka.secret_ref.as_ref());
            }
        }
    }
    lacks
}
