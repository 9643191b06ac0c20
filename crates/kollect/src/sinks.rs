//! The only `match` over sink types: from specs and Secrets to the sinks of their crates.

use kollect_api::{
    DatabaseSinkType, GitAuthType, KollectDatabaseSinkSpec, KollectSnapshotSinkSpec, LayoutContent, LayoutMode,
    ProvisioningMode, SecretReference, SinkCommon, SnapshotSinkType,
};
use kollect_export::encode::{Content, Format};
use kollect_export::layout::{
    Author, CommitTemplates, DEFAULT_DOCUMENT_TEMPLATE, DEFAULT_ROW_TEMPLATE, DocumentSpec, FilenameOptions, Grammar,
    GroupInPath, Mode, Partitioning, PathTemplate,
};
use kollect_export::{Sink, SinkError};
use kollect_model::Reason;
use kollect_net::{ClientCert, Guard, Insecure, SecretString, TlsSpec};
use kollect_resources::registry::{BuiltSink, DocumentContext, SecretBundle, SecretNeed, SinkObject, SinkRegistry};
use kollect_resources::secret_data::SecretData;
use kollect_rules::DestinationHost;
use kollect_sink_git::{GitCredentials, GitSink, PushPolicy};
use kollect_sink_postgres::{ConnectionPools, PostgresSink};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const SECRET_REF: &str = "spec.secretRef";
const GIT_SECRET_REF: &str = "spec.git.auth.secretRef";
const CA_SECRET_REF: &str = "spec.tls.caSecretRef";
const POSTGRES_REF: &str = "spec.postgres.databaseRef";
const CA_KEYS: [&str; 3] = ["tls.crt", "ca.crt", "ca.pem"];
const DSN_KEYS: [&str; 4] = ["dsn", "url", "connectionString", "DATABASE_URL"];
const SSH_KEYS: [&str; 3] = ["ssh-privatekey", "identity", "id_rsa"];
const GITLAB_SUBJECT: &str = "kollect: export inventory";
/// Documents above this need an object store where splitting is disabled.
const SPILL_BYTES: u64 = 1 << 20;

/// A sink, where it writes, the servers it sends to, and why its connection is not safe.
type Built = (Sink, String, Vec<DestinationHost>, Option<Insecure>);

/// Builds the sinks of this release.
pub(crate) struct Registry {
    pub guard: Guard,
    pub pools: ConnectionPools,
    pub mirror_root: PathBuf,
    pub force_basic_auth: bool,
    /// Bytes of the largest document that an inventory may write.
    pub max_document: u64,
}

impl SinkRegistry for Registry {
    fn secrets(&self, sink: &SinkObject) -> Vec<SecretNeed> {
        let common = sink.common();
        let mut needs = Vec::new();
        let mut need = |field: &'static str, reference: Option<&SecretReference>| {
            if let Some(r) = reference.filter(|r| !r.name.trim().is_empty()) {
                needs.push(SecretNeed { field, name: r.name.clone(), namespace: r.namespace.clone() });
            }
        };
        need(SECRET_REF, common.secret_ref.as_ref());
        need(CA_SECRET_REF, common.tls.as_ref().and_then(|tls| tls.ca_secret_ref.as_ref()));
        match sink {
            SinkObject::Snapshot(s) => {
                let auth = s.spec.git.as_ref().and_then(|git| git.auth.as_ref());
                need(GIT_SECRET_REF, auth.and_then(|auth| auth.secret_ref.as_ref()));
            }
            SinkObject::Database(s) => need(POSTGRES_REF, s.spec.postgres.as_ref().map(|p| &p.database_ref)),
            SinkObject::Event(_) => {}
        }
        needs
    }

    fn build(&self, sink: &SinkObject, secrets: &SecretBundle) -> Result<BuiltSink, SinkError> {
        let common = sink.common();
        let tls = tls(common, secrets)?;
        let (built, destination, hosts, insecure) = match sink {
            SinkObject::Snapshot(s) => match s.spec.type_ {
                SnapshotSinkType::Git | SnapshotSinkType::Gitlab => self.git(&s.spec, secrets, tls)?,
                SnapshotSinkType::S3 | SnapshotSinkType::Gcs => return Err(not_here(sink)),
            },
            SinkObject::Database(s) => match s.spec.type_ {
                DatabaseSinkType::Postgres => self.postgres(&s.spec, secrets, tls)?,
                DatabaseSinkType::Bigquery | DatabaseSinkType::Mongodb => return Err(not_here(sink)),
            },
            SinkObject::Event(_) => return Err(not_here(sink)),
        };
        let cluster = common.cluster.as_deref().unwrap_or_default().into();
        let insecure = insecure.map(|why| (why.reason(), why.message()));
        Ok(BuiltSink { sink: built, destination, cluster, hosts, insecure })
    }

    fn document(&self, sink: &SinkObject, context: &DocumentContext) -> Result<Option<DocumentSpec>, SinkError> {
        match sink {
            SinkObject::Snapshot(s) => document(&s.spec, context).map(Some),
            SinkObject::Database(_) | SinkObject::Event(_) => Ok(None),
        }
    }
}

fn not_here(sink: &SinkObject) -> SinkError {
    invalid(format!("this release has no {} sink yet; use git or postgres", sink.sink_type()))
}

fn invalid(message: impl Into<String>) -> SinkError {
    SinkError::terminal("config", message).with_reason(Reason::SinkInvalid)
}

fn tls(common: &SinkCommon, secrets: &SecretBundle) -> Result<TlsSpec, SinkError> {
    let Some(settings) = &common.tls else { return Ok(TlsSpec::default()) };
    let from_secret =
        match secrets.get(CA_SECRET_REF) {
            Some(data) => Some(CA_KEYS.iter().find_map(|key| data.get(key)).ok_or_else(|| {
                invalid("spec.tls.caSecretRef: the Secret has none of the keys tls.crt, ca.crt, ca.pem")
            })?),
            None => None,
        };
    let inline = settings.ca_bundle.as_ref().map(|bundle| bundle.0.as_slice());
    if from_secret.is_some() && inline.is_some() {
        return Err(invalid("spec.tls: set caBundle or caSecretRef, not both"));
    }
    Ok(TlsSpec {
        ca_pem: inline.or(from_secret).map(<[u8]>::to_vec),
        insecure_skip_verify: settings.insecure_skip_verify,
        ..TlsSpec::default()
    })
}

fn secret_text(data: &SecretData, keys: &[&str]) -> Option<SecretString> {
    data.first_text(keys).map(SecretString::new)
}

impl Registry {
    fn git(&self, spec: &KollectSnapshotSinkSpec, secrets: &SecretBundle, tls: TlsSpec) -> Result<Built, SinkError> {
        let endpoint = spec.common.endpoint.as_deref().filter(|e| !e.trim().is_empty());
        let endpoint = endpoint.ok_or_else(|| invalid("spec.endpoint: a git sink needs the URL of its repository"))?;
        let git = spec.git.clone().unwrap_or_default();
        if spec
            .gitlab
            .as_ref()
            .and_then(|g| g.merge_request.as_ref())
            .is_some_and(|m| m.mode.unwrap_or_default() == kollect_api::GitlabMergeMode::MergeRequest)
        {
            return Err(invalid("spec.gitlab.mergeRequest.mode: this release pushes directly only; set it to direct"));
        }
        let mut config = kollect_sink_git::GitConfig::new(endpoint, &self.mirror_root);
        let data = secrets.get(GIT_SECRET_REF).or_else(|| secrets.get(SECRET_REF));
        let ssh_wanted = git.auth.as_ref().and_then(|a| a.type_) == Some(GitAuthType::Ssh)
            || endpoint.starts_with("ssh://")
            || !endpoint.contains("://");
        config.auth = git_auth(data.map(AsRef::as_ref), ssh_wanted)?;
        config.branch.clone_from(&git.branch);
        config.push_policy = match git.push_policy.unwrap_or_default() {
            kollect_api::PushPolicy::Commit => PushPolicy::Commit,
            kollect_api::PushPolicy::ForcePush => PushPolicy::ForcePush,
        };
        config.force_basic_auth = git.force_basic_auth.unwrap_or(self.force_basic_auth);
        config.tls = tls;
        config.depth = u32::try_from(git.clone_depth.unwrap_or(1)).unwrap_or(1).max(1);
        config.guard = self.guard.clone();
        // What is written must be accepted when it is fetched back.
        let document = self.max_document.saturating_mul(2);
        config.limits.object = config.limits.object.max(document);
        config.limits.parsed_object = config.limits.parsed_object.max(document);
        config.cluster = spec.common.cluster.clone().unwrap_or_default();
        let sink = GitSink::new(config)?;
        let (destination, insecure) = (sink.destination(), sink.insecure());
        let (host, port, usual_port) = sink.server();
        let hosts = vec![DestinationHost { host, port, usual_port }];
        Ok((Sink::Files(Arc::new(sink)), destination, hosts, insecure))
    }

    fn postgres(
        &self,
        spec: &KollectDatabaseSinkSpec,
        secrets: &SecretBundle,
        mut tls: TlsSpec,
    ) -> Result<Built, SinkError> {
        let settings = spec.postgres.as_ref().ok_or_else(|| invalid("spec.postgres is missing"))?;
        let data = secrets
            .get(POSTGRES_REF)
            .ok_or_else(|| invalid("spec.postgres.databaseRef.name is empty; name the Secret with the DSN"))?;
        let dsn = secret_text(data, &DSN_KEYS).ok_or_else(|| {
            invalid(
                "spec.postgres.databaseRef: the Secret has none of the keys dsn, url, connectionString, DATABASE_URL",
            )
        })?;
        if let (Some(chain), Some(key)) = (data.get("tls.crt"), secret_text(data, &["tls.key"])) {
            tls.client_cert = Some(ClientCert { chain_pem: chain.to_vec(), key_pem: key });
        }
        let mut config = kollect_sink_postgres::PostgresConfig::new(dsn, &settings.table);
        if let Some(schema) = settings.schema.as_ref().filter(|s| !s.trim().is_empty()) {
            config.schema.clone_from(schema);
        }
        config.mode = match spec.common.provisioning_mode() {
            ProvisioningMode::Ensure => kollect_sink_postgres::Provisioning::Ensure,
            ProvisioningMode::Existing => kollect_sink_postgres::Provisioning::Existing,
        };
        config.cluster = spec.common.cluster.clone().unwrap_or_default();
        config.tls = tls;
        config.guard = self.guard.clone();
        if let Some(text) = spec.common.options.get("statement_timeout") {
            config.statement_timeout = option_duration("statement_timeout", text)?;
        }
        let sink = PostgresSink::new(config, &self.pools)?;
        let (destination, insecure) = (sink.destination(), sink.insecure());
        let servers = sink.servers().into_iter();
        let hosts = servers.map(|(host, port)| DestinationHost { host, port, usual_port: 5432 }).collect();
        Ok((Sink::Rows(Arc::new(sink)), destination, hosts, insecure))
    }
}

fn option_duration(key: &str, text: &str) -> Result<Duration, SinkError> {
    kollect_api::GoDuration::new(text)
        .to_duration()
        .map_err(|why| invalid(format!("spec.options.{key}: {why}; write it like 30s")))
}

fn git_auth(data: Option<&SecretData>, ssh: bool) -> Result<GitCredentials, SinkError> {
    let Some(data) = data else { return Ok(GitCredentials::None) };
    let user = data.first_text(&["username"]);
    if ssh {
        let private_key = SSH_KEYS.iter().find_map(|key| data.get(key)).and_then(|key| std::str::from_utf8(key).ok());
        let private_key = private_key.map(SecretString::new).ok_or_else(|| {
            invalid("the Secret has none of the keys ssh-privatekey, identity, id_rsa, which an ssh URL needs")
        })?;
        return Ok(GitCredentials::Ssh { user, private_key, known_hosts: data.first_text(&["known_hosts"]) });
    }
    let (token, password) = (secret_text(data, &["token"]), secret_text(data, &["password"]));
    if token.is_none() && password.is_none() {
        return Err(invalid("the Secret has neither a token nor a password"));
    }
    Ok(GitCredentials::Basic { user, token, password })
}

fn document(spec: &KollectSnapshotSinkSpec, context: &DocumentContext) -> Result<DocumentSpec, SinkError> {
    let common = &spec.common;
    let template = |field: &str, text: &str, grammar: Grammar| {
        PathTemplate::parse(text, grammar).map_err(|why| invalid(format!("{field}: {why}")))
    };
    let layout = common.layout.clone().unwrap_or_default();
    let index = layout.index.clone().unwrap_or_default();
    let index_template = index.path_template.as_deref().unwrap_or(DEFAULT_DOCUMENT_TEMPLATE);
    let filename = layout.filename.clone().unwrap_or_default();
    let defaults = FilenameOptions::default();
    let document_template = common.path_template.as_deref().unwrap_or(DEFAULT_DOCUMENT_TEMPLATE);
    let row_template = layout.path_template.as_deref().unwrap_or(DEFAULT_ROW_TEMPLATE);
    Ok(DocumentSpec {
        mode: match layout.mode {
            Some(LayoutMode::Document) => Mode::Document,
            Some(LayoutMode::PerResource) => Mode::PerResource,
            // Without its index a split tree is a plain one.
            Some(LayoutMode::Split) if index.enabled == Some(false) => Mode::PerResource,
            Some(LayoutMode::Split) => Mode::Split,
            None => Mode::Auto,
        },
        content: match (layout.content, layout.mode) {
            (Some(LayoutContent::Item), _) | (None, Some(_)) => Content::Item,
            (Some(LayoutContent::Attributes), _) => Content::Attributes,
            (Some(LayoutContent::Manifest), _) | (None, None) => Content::Manifest,
        },
        format: format(common)?,
        path_template: template("spec.pathTemplate", document_template, Grammar::Document)?,
        index_template: template("spec.layout.index.pathTemplate", index_template, Grammar::Document)?,
        row_template: template("spec.layout.pathTemplate", row_template, Grammar::Row)?,
        filename: FilenameOptions {
            group_in_path: match filename.group_in_path.unwrap_or_default() {
                kollect_api::GroupInPath::Auto => GroupInPath::Auto,
                kollect_api::GroupInPath::Always => GroupInPath::Always,
                kollect_api::GroupInPath::Never => GroupInPath::Never,
            },
            lowercase_kind: filename.lowercase_kind.unwrap_or(defaults.lowercase_kind),
            max_segment_length: filename
                .max_segment_length
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(defaults.max_segment_length),
        },
        cluster: common.cluster.as_deref().unwrap_or_default().into(),
        inventory: context.inventory.clone(),
        generation: context.generation,
        sink_name: context.sink_name.clone(),
        max_bytes: context.max_bytes,
        backend_limit: None,
        partitioning: match context.partitioning {
            kollect_api::Partitioning::Auto => Partitioning::Auto,
            kollect_api::Partitioning::Disabled => {
                Partitioning::Disabled { spill_limit: (!context.object_store).then_some(SPILL_BYTES) }
            }
        },
        commit: commit(spec),
        author: author(spec),
    })
}

fn format(common: &SinkCommon) -> Result<Format, SinkError> {
    let serialization = common.serialization.clone().unwrap_or_default();
    if serialization.compression.is_some_and(|c| c != kollect_api::Compression::None) {
        return Err(invalid("spec.serialization.compression: files in Git are not compressed; remove it"));
    }
    match serialization.format {
        None | Some(kollect_api::Format::Yaml) => Ok(Format::Yaml),
        Some(kollect_api::Format::Json) => Ok(Format::Json),
        Some(kollect_api::Format::Ndjson) => Ok(Format::Ndjson),
        Some(other) => Err(invalid(format!(
            "spec.serialization.format: a git sink writes yaml, json or ndjson, not {}",
            other.as_str()
        ))),
    }
}

fn commit(spec: &KollectSnapshotSinkSpec) -> CommitTemplates {
    let mut templates = CommitTemplates::default();
    if spec.type_ == SnapshotSinkType::Gitlab {
        GITLAB_SUBJECT.clone_into(&mut templates.subject);
    }
    if let Some(git) = &spec.git {
        if let Some(subject) = &git.commit_message {
            templates.subject.clone_from(subject);
        }
        templates.body.clone_from(&git.commit_body);
        templates.trailers.clone_from(&git.commit_trailers);
    }
    templates
}

fn author(spec: &KollectSnapshotSinkSpec) -> Author {
    let mut author = Author::default();
    if let Some(wanted) = spec.git.as_ref().and_then(|git| git.author.as_ref()) {
        if let Some(name) = &wanted.name {
            author.name.clone_from(name);
        }
        if let Some(email) = &wanted.email {
            author.email.clone_from(email);
        }
    }
    author
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_document_needs_an_object_store_only_while_none_is_bound() {
        let spec: KollectSnapshotSinkSpec = serde_json::from_value(serde_json::json!({"type": "git"})).unwrap();
        let partitioning = |object_store| {
            let context = DocumentContext {
                inventory: kollect_export::InventoryKey { namespace: "team".into(), name: "all".into() },
                generation: 1,
                max_bytes: 0,
                partitioning: kollect_api::Partitioning::Disabled,
                object_store,
                sink_name: "git".into(),
            };
            document(&spec, &context).unwrap().partitioning
        };
        assert_eq!(partitioning(false), Partitioning::Disabled { spill_limit: Some(SPILL_BYTES) });
        assert_eq!(partitioning(true), Partitioning::Disabled { spill_limit: None });
    }
}
