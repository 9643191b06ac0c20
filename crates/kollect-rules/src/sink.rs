//! What sinks may say, beyond what their schema enforces.

use crate::MAX_INTERVAL;
use crate::template::{PathOf, check as check_template};
use crate::violation::{Findings, Violation};
use kollect_api::{
    DatabaseSinkType, Format, GitSettings, GitlabMergeMode, KollectDatabaseSinkSpec, KollectSnapshotSinkSpec,
    LayoutSettings, SecretReference, SinkCommon, SnapshotSinkType,
};

/// Parts of option keys that name credentials, which belong into a Secret.
const CREDENTIAL_WORDS: [&str; 13] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "accesskey",
    "access_key",
    "secretkey",
    "secret_key",
    "privatekey",
    "private_key",
    "credential",
];

/// Checks a snapshot sink.
pub fn check_snapshot_sink(spec: &KollectSnapshotSinkSpec) -> Vec<Violation> {
    let type_ = spec.type_;
    let mut found = Findings::default();
    check_common(&mut found, &spec.common);
    found.required("spec.endpoint", spec.common.endpoint.as_deref().unwrap_or_default());
    let formats: &[Format] = match type_ {
        SnapshotSinkType::Git | SnapshotSinkType::Gitlab => &[Format::Json, Format::Yaml, Format::Ndjson],
        SnapshotSinkType::S3 | SnapshotSinkType::Gcs => &[Format::Json, Format::Parquet, Format::Csv],
    };
    check_format(&mut found, &spec.common, type_.as_str(), formats);
    let object_store = matches!(type_, SnapshotSinkType::S3 | SnapshotSinkType::Gcs);
    for (field, present, fits) in [
        ("git", spec.git.is_some(), type_ == SnapshotSinkType::Git),
        ("gitlab", spec.gitlab.is_some(), type_ == SnapshotSinkType::Gitlab),
        ("objectStore", spec.object_store.is_some(), object_store),
        ("http", spec.http.is_some(), false),
        ("layout", spec.common.layout.is_some(), type_.is_git()),
    ] {
        if present && !fits {
            found.add(format!("spec.{field}"), "", format!("does not apply to type {}; remove it", type_.as_str()));
        }
    }
    if let Some(git) = spec.git.as_ref().filter(|_| type_ == SnapshotSinkType::Git) {
        check_git(&mut found, git);
    }
    if let Some(layout) = spec.common.layout.as_ref().filter(|_| type_.is_git()) {
        check_layout(&mut found, layout);
    }
    let merge_request = spec.gitlab.as_ref().and_then(|gitlab| gitlab.merge_request.as_ref());
    if let Some(request) = merge_request.filter(|request| request.mode == Some(GitlabMergeMode::MergeRequest)) {
        let branch = request.target_branch.as_deref().unwrap_or_default();
        found.required("spec.gitlab.mergeRequest.targetBranch", branch);
    }
    found.0
}

/// Checks a database sink.
pub fn check_database_sink(spec: &KollectDatabaseSinkSpec) -> Vec<Violation> {
    let type_ = spec.type_;
    let mut found = Findings::default();
    check_common(&mut found, &spec.common);
    check_format(&mut found, &spec.common, type_.as_str(), &[Format::Json]);
    if spec.common.layout.is_some() {
        found.add("spec.layout", "", "applies to Git repositories only; remove it");
    }
    for (block, present) in [
        (DatabaseSinkType::Postgres, spec.postgres.is_some()),
        (DatabaseSinkType::Bigquery, spec.bigquery.is_some()),
        (DatabaseSinkType::Mongodb, spec.mongodb.is_some()),
    ] {
        let field = format!("spec.{}", block.as_str());
        if block == type_ && !present {
            found.add(field, "", format!("is required for type {}", type_.as_str()));
        } else if block != type_ && present {
            found.add(field, "", format!("does not apply to type {}; remove it", type_.as_str()));
        }
    }
    match type_ {
        DatabaseSinkType::Postgres => {
            if let Some(postgres) = &spec.postgres {
                found.required("spec.postgres.databaseRef.name", &postgres.database_ref.name);
                found.required("spec.postgres.table", &postgres.table);
            }
        }
        DatabaseSinkType::Bigquery => {
            if let Some(bigquery) = &spec.bigquery {
                found.required("spec.bigquery.project", &bigquery.project);
                found.required("spec.bigquery.dataset", &bigquery.dataset);
                found.required("spec.bigquery.table", &bigquery.table);
                check_secret(&mut found, "spec.bigquery.secretRef", bigquery.secret_ref.as_ref());
            }
        }
        DatabaseSinkType::Mongodb => {
            if let Some(mongodb) = &spec.mongodb {
                found.required("spec.mongodb.databaseRef.name", &mongodb.database_ref.name);
                found.required("spec.mongodb.database", &mongodb.database);
                found.required("spec.mongodb.collection", &mongodb.collection);
            }
        }
    }
    found.0
}

fn check_common(found: &mut Findings, common: &SinkCommon) {
    check_path(found, "spec.pathTemplate", common.path_template.as_deref(), PathOf::Document);
    found.interval("spec.exportMinInterval", common.export_min_interval.as_ref(), MAX_INTERVAL);
    check_secret(found, "spec.secretRef", common.secret_ref.as_ref());
    if let Some(tls) = &common.tls {
        check_secret(found, "spec.tls.caSecretRef", tls.ca_secret_ref.as_ref());
    }
    let naming = common.provisioning.as_ref().and_then(|provisioning| provisioning.naming.as_ref());
    if let Some(naming) = naming {
        check_path(found, "spec.provisioning.naming.template", naming.template.as_deref(), PathOf::Document);
    }
    for key in common.options.keys() {
        let lower = key.to_ascii_lowercase();
        if CREDENTIAL_WORDS.iter().any(|word| lower.contains(word)) {
            found.add(
                format!("spec.options[{key}]"),
                "",
                "looks like a credential; put it into the Secret of secretRef",
            );
        }
    }
}

fn check_format(found: &mut Findings, common: &SinkCommon, type_: &str, formats: &[Format]) {
    let format = common.serialization.as_ref().and_then(|serialization| serialization.format);
    if let Some(format) = format.filter(|format| !formats.contains(format)) {
        let known: Vec<_> = formats.iter().map(|format| format.as_str()).collect();
        let why = format!("is not written by type {type_}; use {}", known.join(", "));
        found.add("spec.serialization.format", format.as_str(), why);
    }
}

fn check_secret(found: &mut Findings, field: &str, secret: Option<&SecretReference>) {
    if let Some(secret) = secret {
        found.required(&format!("{field}.name"), &secret.name);
    }
}

fn check_path(found: &mut Findings, field: &str, template: Option<&str>, path_of: PathOf) {
    // Empty means unset.
    let Some(template) = template.filter(|template| !template.is_empty()) else { return };
    if let Err(why) = check_template(template, path_of) {
        found.add(field, template, why);
    }
}

fn check_layout(found: &mut Findings, layout: &LayoutSettings) {
    check_path(found, "spec.layout.pathTemplate", layout.path_template.as_deref(), PathOf::Row);
    if let Some(index) = &layout.index {
        check_path(found, "spec.layout.index.pathTemplate", index.path_template.as_deref(), PathOf::Document);
    }
    let longest = layout.filename.as_ref().and_then(|filename| filename.max_segment_length);
    if let Some(longest) = longest.filter(|longest| *longest < 1) {
        found.add("spec.layout.filename.maxSegmentLength", &longest.to_string(), "must be at least 1");
    }
}

fn check_git(found: &mut Findings, git: &GitSettings) {
    if let Some(branch) = git.branch.as_deref().filter(|branch| !branch.is_empty() && !is_branch(branch)) {
        let why = "must start with a letter or digit, hold only letters, digits, `.`, `_`, `/` and `-`, without `..`, \
                   not end in `.` or `.lock`, and be given without refs/";
        found.add("spec.git.branch", branch, why);
    }
    let secret = git.auth.as_ref().and_then(|auth| auth.secret_ref.as_ref());
    check_secret(found, "spec.git.auth.secretRef", secret);
    if let Some(depth) = git.clone_depth.filter(|depth| *depth < 1) {
        found.add("spec.git.cloneDepth", &depth.to_string(), "must be at least 1");
    }
}

fn is_branch(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'/' | b'-'))
        && !name.contains("..")
        && !name.ends_with('.')
        && name.strip_suffix(".lock").is_none()
        && !name.ends_with('/')
        && !name.contains("//")
        && !name.starts_with("refs/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// `base` with the members of `more`.
    fn with(mut base: Value, more: &Value) -> Value {
        for (key, value) in more.as_object().unwrap() {
            base[key] = value.clone();
        }
        base
    }

    fn snapshot(spec: &Value) -> Vec<String> {
        let spec = with(json!({"type": "git", "endpoint": "https://git.example/x.git"}), spec);
        check_snapshot_sink(&serde_json::from_value(spec).unwrap()).into_iter().map(|v| v.field).collect()
    }

    fn postgres(spec: &Value) -> Vec<String> {
        let spec = with(json!({"type": "postgres", "postgres": {"databaseRef": {"name": "s"}, "table": "t"}}), spec);
        check_database_sink(&serde_json::from_value(spec).unwrap()).into_iter().map(|v| v.field).collect()
    }

    #[test]
    fn sound_sinks_pass() {
        for spec in [
            json!({}),
            json!({"git": {"branch": "team/inventory-1.2"}, "layout": {"mode": "split"}}),
            json!({"type": "gitlab", "serialization": {"format": "ndjson"}}),
            json!({"type": "s3", "endpoint": "s3://b", "serialization": {"format": "csv"}, "objectStore": {}}),
            json!({"options": {"storageClass": "GLACIER"}, "pathTemplate": "", "exportMinInterval": "0"}),
        ] {
            assert_eq!(snapshot(&spec), [""; 0], "{spec}");
        }
        assert_eq!(postgres(&json!({"pathTemplate": "{namespace}/{name}"})), [""; 0]);
    }

    #[test]
    fn each_broken_rule_of_a_snapshot_sink_is_named_with_its_field() {
        for (spec, field) in [
            (json!({"endpoint": " "}), "spec.endpoint"),
            (json!({"gitlab": {}}), "spec.gitlab"),
            (json!({"objectStore": {}}), "spec.objectStore"),
            (json!({"http": {}}), "spec.http"),
            (json!({"type": "gitlab", "git": {}}), "spec.git"),
            (json!({"type": "s3", "layout": {}}), "spec.layout"),
            (json!({"type": "gcs", "serialization": {"format": "yaml"}}), "spec.serialization.format"),
            (json!({"serialization": {"format": "parquet"}}), "spec.serialization.format"),
            (json!({"pathTemplate": "{name}"}), "spec.pathTemplate"),
            (json!({"exportMinInterval": "25h"}), "spec.exportMinInterval"),
            (json!({"secretRef": {"name": ""}}), "spec.secretRef.name"),
            (json!({"tls": {"caSecretRef": {"name": ""}}}), "spec.tls.caSecretRef.name"),
            (json!({"options": {"AWS_Secret_Key": "x"}}), "spec.options[AWS_Secret_Key]"),
            (json!({"provisioning": {"naming": {"template": "x"}}}), "spec.provisioning.naming.template"),
            (json!({"layout": {"pathTemplate": "{kind}"}}), "spec.layout.pathTemplate"),
            (json!({"layout": {"index": {"pathTemplate": "x"}}}), "spec.layout.index.pathTemplate"),
            (json!({"git": {"auth": {"secretRef": {"name": " "}}}}), "spec.git.auth.secretRef.name"),
            (
                json!({"type": "gitlab", "gitlab": {"mergeRequest": {"mode": "merge_request"}}}),
                "spec.gitlab.mergeRequest.targetBranch",
            ),
        ] {
            assert_eq!(snapshot(&spec), [field], "{spec}");
        }
        for branch in ["-x", "a..b", "x.", "x.lock", "refs/heads/x", "a b", "@", "a@{1}", "/a", "a/"] {
            assert_eq!(snapshot(&json!({"git": {"branch": branch}})), ["spec.git.branch"], "{branch}");
        }
    }

    #[test]
    fn each_broken_rule_of_a_database_sink_is_named_with_its_field() {
        for (spec, fields) in [
            (json!({"layout": {}}), vec!["spec.layout"]),
            (json!({"postgres": null}), vec!["spec.postgres"]),
            (
                json!({"mongodb": {"databaseRef": {"name": "s"}, "database": "d", "collection": "c"}}),
                vec!["spec.mongodb"],
            ),
            (
                json!({"postgres": {"databaseRef": {"name": ""}, "table": " "}}),
                vec!["spec.postgres.databaseRef.name", "spec.postgres.table"],
            ),
            (json!({"serialization": {"format": "yaml"}}), vec!["spec.serialization.format"]),
            (
                json!({"type": "bigquery", "postgres": null,
                    "bigquery": {"project": "", "dataset": "", "table": "", "secretRef": {"name": ""}}}),
                vec![
                    "spec.bigquery.project",
                    "spec.bigquery.dataset",
                    "spec.bigquery.table",
                    "spec.bigquery.secretRef.name",
                ],
            ),
        ] {
            assert_eq!(postgres(&spec), fields, "{spec}");
        }
    }

    #[test]
    fn an_option_that_holds_a_credential_is_not_repeated() {
        let spec = json!({"type": "git", "endpoint": "https://h/x", "options": {"apiToken": "hunter2"}});
        let found = check_snapshot_sink(&serde_json::from_value(spec).unwrap());
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}
