//! The rules of KollectSnapshotSink.

use super::checks::{check_common, check_format, check_path};
use super::rules::{K10, K11, K12, K13, K14, K18};
use super::usable;
use crate::findings::Findings;
use crate::template::PathOf;
use crate::violation::Violation;
use kollect_api::{Compression, Format, GitSettings, KollectSnapshotSinkSpec, LayoutSettings, SnapshotSinkType};

/// Checks a snapshot sink, including that it has all it needs to write somewhere.
pub fn check_snapshot_sink(spec: &KollectSnapshotSinkSpec) -> Vec<Violation> {
    let mut found = Findings::default();
    check_fields(&mut found, spec);
    usable::add(&mut found, usable::snapshot(spec));
    found.violations
}

pub(super) fn check_fields(found: &mut Findings, spec: &KollectSnapshotSinkSpec) {
    let type_ = spec.type_;
    check_common(found, &spec.common);
    let formats: &[Format] = match type_ {
        SnapshotSinkType::Git | SnapshotSinkType::Gitlab => &[Format::Json, Format::Yaml, Format::Ndjson],
        SnapshotSinkType::S3 | SnapshotSinkType::Gcs => &[Format::Json, Format::Parquet, Format::Csv],
    };
    check_format(found, &spec.common, type_.as_str(), formats);
    let compression = spec.common.serialization.as_ref().and_then(|serialization| serialization.compression);
    if type_.is_git() && compression.is_some_and(|compression| compression != Compression::None) {
        found.add(&K18, "spec.serialization.compression", "");
    }
    let rule = match type_ {
        SnapshotSinkType::Git => &K10,
        SnapshotSinkType::Gitlab => &K12,
        SnapshotSinkType::S3 | SnapshotSinkType::Gcs => &K13,
    };
    for (field, present, fits) in [
        ("git", spec.git.is_some(), type_ == SnapshotSinkType::Git),
        ("gitlab", spec.gitlab.is_some(), type_ == SnapshotSinkType::Gitlab),
        ("objectStore", spec.object_store.is_some(), !type_.is_git()),
        ("http", spec.http.is_some(), false),
        ("layout", spec.common.layout.is_some(), type_.is_git()),
    ] {
        if present && !fits {
            found.text(
                rule,
                format!("spec.{field}"),
                "",
                format!("does not apply to type {}; remove it", type_.as_str()),
            );
        }
    }
    if let Some(git) = spec.git.as_ref().filter(|_| type_ == SnapshotSinkType::Git) {
        check_git(found, git);
    }
    if let Some(layout) = spec.common.layout.as_ref().filter(|_| type_.is_git()) {
        check_layout(found, layout);
    }
}

fn check_layout(found: &mut Findings, layout: &LayoutSettings) {
    check_path(found, &K14, "spec.layout.pathTemplate", layout.path_template.as_deref(), PathOf::Row);
    if let Some(index) = &layout.index {
        check_path(found, &K14, "spec.layout.index.pathTemplate", index.path_template.as_deref(), PathOf::Document);
    }
    let longest = layout.filename.as_ref().and_then(|filename| filename.max_segment_length);
    if let Some(longest) = longest.filter(|longest| *longest < 1) {
        let why = "must be at least 1: should be greater than or equal to 1";
        found.text(&K14, "spec.layout.filename.maxSegmentLength", &longest.to_string(), why);
    }
}

fn check_git(found: &mut Findings, git: &GitSettings) {
    if let Some(branch) = git.branch.as_deref().filter(|branch| !branch.is_empty() && !is_branch(branch)) {
        let why = "is not a branch: it must start with a letter or digit, hold only letters, digits, \".\", \"_\", \
                   \"/\" and \"-\", without \"..\", not end in \".\" or \".lock\", and be given without refs/";
        found.text(&K11, "spec.git.branch", branch, why);
    }
    if let Some(secret) = git.auth.as_ref().and_then(|auth| auth.secret_ref.as_ref()) {
        found.required(&K11, "spec.git.auth.secretRef.name", &secret.name);
    }
    if let Some(depth) = git.clone_depth.filter(|depth| *depth < 1) {
        found.text(
            &K11,
            "spec.git.cloneDepth",
            &depth.to_string(),
            "must be at least 1: should be greater than or equal to 1",
        );
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
