//! Warnings about sinks that are accepted.

use crate::findings::Findings;
use crate::names::nearest;
use crate::rule::rules;
use crate::violation::shown;
use kollect_api::{
    DatabaseSinkType, Format, KollectDatabaseSinkSpec, KollectEventSinkSpec, KollectSnapshotSinkSpec, LayoutContent,
    LayoutMode, ObjectFormat, ProvisioningMode, PushPolicy, SinkCommon,
};

rules! { "KollectSnapshotSink, KollectDatabaseSink, KollectEventSink";
    KW1, Warning, "git.pushPolicy is ForcePush", "ForcePush overwrites the history of the branch";
    KW2, Warning, "provisioning.mode is existing", "with mode existing nothing is created: exports fail while the destination is missing";
    KW3, Warning, "the effective format is parquet", "parquet files are written whole at each export and cannot be read line by line";
    KW4, Warning, "serialization is set beside objectStore.format", "serialization.format takes precedence over objectStore.format; remove one of them";
    KW5, Warning, "a Git sink has no format, so that yaml is written", "no serialization.format is set, so yaml is written";
    KW6, Warning, "a Git sink does not write JSON, and pathTemplate ends in .json", "the path ends in .json but the content is not JSON; write {extension}";
    KW7, Warning, "layout.content is manifest", "manifest needs profiles with export.mode: Resource; the export fails for other rows";
    KW8, Warning, "layout.mode is perResource or split and git.prune is not true", "this layout prunes: files of rows that are gone are deleted; set git.prune: true to confirm it";
    KW9, Warning, "the backend does not know the key of an option", "this backend does not know the option, so it has no effect";
    KW10, Warning, "events is not set", "events is not set, so Changes is used: one CloudEvent per changed row; set events: Snapshot for one message per export";
    KW11, Warning, "the endpoint of a Git sink with credentials is an http:// URL outside of the cluster", "credentials and files are sent without TLS; use https";
}

fn options(found: &mut Findings, common: &SinkCommon, known: &[&str]) {
    for key in common.options.keys().filter(|key| !known.contains(&key.as_str())) {
        let hint = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None if known.is_empty() => "it knows none".to_owned(),
            None => format!("it knows {}", known.join(", ")),
        };
        found.warn_of(&KW9, format!("spec.options[{}]", shown(key)), hint);
    }
}

fn provisioning(found: &mut Findings, common: &SinkCommon) {
    if common.provisioning_mode() == ProvisioningMode::Existing {
        found.warn(&KW2, "spec.provisioning.mode");
    }
}

pub(super) fn snapshot(found: &mut Findings, spec: &KollectSnapshotSinkSpec) {
    let common = &spec.common;
    let git_family = spec.type_.is_git();
    if spec.git.as_ref().is_some_and(|git| git.push_policy == Some(PushPolicy::ForcePush)) {
        found.warn(&KW1, "spec.git.pushPolicy");
    }
    provisioning(found, common);
    let set = common.serialization.as_ref().and_then(|serialization| serialization.format);
    let older = spec.object_store.as_ref().and_then(|store| store.format);
    if set == Some(Format::Parquet) || (set.is_none() && older == Some(ObjectFormat::Parquet)) {
        found.warn(&KW3, if set.is_some() { "spec.serialization.format" } else { "spec.objectStore.format" });
    }
    if common.serialization.is_some() && older.is_some() {
        found.warn(&KW4, "spec.objectStore.format");
    }
    if git_family {
        let login = spec.git.as_ref().and_then(|git| git.auth.as_ref()).and_then(|auth| auth.secret_ref.as_ref());
        let named =
            [login, common.secret_ref.as_ref()].into_iter().flatten().any(|secret| !secret.name.trim().is_empty());
        if named && common.endpoint.as_deref().is_some_and(leaves_the_cluster_in_clear) {
            found.warn(&KW11, "spec.endpoint");
        }
        if set.is_none() {
            found.warn(&KW5, "spec.serialization.format");
        }
        let json_path = common.path_template.as_deref().is_some_and(|path| path.strip_suffix(".json").is_some());
        if json_path && set != Some(Format::Json) {
            found.warn(&KW6, "spec.pathTemplate");
        }
        if let Some(layout) = &common.layout {
            if layout.content == Some(LayoutContent::Manifest) {
                found.warn(&KW7, "spec.layout.content");
            }
            let meant = spec.git.as_ref().and_then(|git| git.prune) == Some(true);
            if !meant && matches!(layout.mode, Some(LayoutMode::PerResource | LayoutMode::Split)) {
                found.warn(&KW8, "spec.layout.mode");
            }
        }
    }
    options(found, common, if git_family { &[] } else { &["region", "storageClass"] });
}

pub(super) fn database(found: &mut Findings, spec: &KollectDatabaseSinkSpec) {
    provisioning(found, &spec.common);
    options(found, &spec.common, if spec.type_ == DatabaseSinkType::Postgres { &["statement_timeout"] } else { &[] });
}

/// Whether requests without TLS leave the cluster: the host is not named like a Service.
fn leaves_the_cluster_in_clear(endpoint: &str) -> bool {
    let Some(rest) = endpoint.trim().strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority).split(':').next().unwrap_or_default();
    !host.split('.').any(|part| part.eq_ignore_ascii_case("svc"))
}

pub(super) fn event(found: &mut Findings, spec: &KollectEventSinkSpec) {
    if spec.events.is_none() {
        found.warn(&KW10, "spec.events");
    }
    provisioning(found, &spec.common);
    options(found, &spec.common, &[]);
}
