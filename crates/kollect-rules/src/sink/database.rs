//! The rules of KollectDatabaseSink.

use super::checks::{check_common, check_format};
use super::rules::{K15, K16};
use super::usable;
use crate::findings::Findings;
use crate::violation::Violation;
use kollect_api::{DatabaseSinkType, Format, KollectDatabaseSinkSpec};

/// Checks a database sink, including that it has all it needs to write somewhere.
pub fn check_database_sink(spec: &KollectDatabaseSinkSpec) -> Vec<Violation> {
    let mut found = Findings::default();
    check_fields(&mut found, spec);
    usable::add(&mut found, usable::database(spec));
    found.violations
}

pub(super) fn check_fields(found: &mut Findings, spec: &KollectDatabaseSinkSpec) {
    let type_ = spec.type_;
    check_common(found, &spec.common);
    check_format(found, &spec.common, type_.as_str(), &[Format::Json]);
    if spec.common.layout.is_some() {
        found.text(&K15, "spec.layout", "", "does not apply to databases, but to Git repositories only; remove it");
    }
    for (block, present) in [
        (DatabaseSinkType::Postgres, spec.postgres.is_some()),
        (DatabaseSinkType::Bigquery, spec.bigquery.is_some()),
        (DatabaseSinkType::Mongodb, spec.mongodb.is_some()),
    ] {
        let field = format!("spec.{}", block.as_str());
        if block == type_ && !present {
            found.text(&K15, field, "", format!("is required for type {}", type_.as_str()));
        } else if block != type_ && present {
            found.text(&K15, field, "", format!("does not apply to type {}; remove it", type_.as_str()));
        }
    }
    if let Some(bigquery) = spec.bigquery.as_ref().filter(|_| type_ == DatabaseSinkType::Bigquery) {
        found.required(&K16, "spec.bigquery.project", &bigquery.project);
        found.required(&K16, "spec.bigquery.dataset", &bigquery.dataset);
        found.required(&K16, "spec.bigquery.table", &bigquery.table);
        if let Some(secret) = &bigquery.secret_ref {
            found.required(&K16, "spec.bigquery.secretRef.name", &secret.name);
        }
    }
}
