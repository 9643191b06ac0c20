//! Builds Git sinks and their layouts from `KollectSnapshotSink` specs of type `git` and `gitlab`.

use crate::config::{GitConfig, GitCredentials, PushPolicy};
use crate::sink::GitSink;
use kollect_api::{
    Compression, GitAuthType, GitSettings, GitlabMergeMode, KollectSnapshotSinkSpec, SinkCommon, SnapshotSinkType,
};
use kollect_export::encode::Format;
use kollect_export::layout::{Author, CommitTemplates, DocumentSpec};
use kollect_export::{Sink, SinkError};
use kollect_net::{Guard, SecretString};
use kollect_spec::{
    ConfiguredSink, LayoutContext, SECRET_REF, SecretRef, SecretValues, SinkSecrets, SinkServer, invalid,
};
use std::path::PathBuf;
use std::sync::Arc;

const GIT_SECRET_REF: &str = "spec.git.auth.secretRef";
const SSH_KEYS: [&str; 3] = ["ssh-privatekey", "identity", "id_rsa"];
const GITLAB_SUBJECT: &str = "kollect: export inventory";

/// What all Git sinks of a process share.
#[derive(Clone, Debug)]
pub struct GitProcessSettings {
    /// Addresses that may be dialled.
    pub guard: Guard,
    /// Directory of the mirrors.
    pub mirror_root: PathBuf,
    /// Default of `spec.git.forceBasicAuth`.
    pub force_basic_auth: bool,
    /// Bytes of the largest document that an inventory may write.
    pub max_document: u64,
}

/// The Secrets that a spec refers to.
pub fn secret_refs(spec: &KollectSnapshotSinkSpec) -> Vec<SecretRef> {
    let auth = spec.git.as_ref().and_then(|git| git.auth.as_ref());
    let own = SecretRef::new(GIT_SECRET_REF, auth.and_then(|auth| auth.secret_ref.as_ref()));
    kollect_spec::secret_refs(&spec.common).into_iter().chain(own).collect()
}

/// Builds the sink. Connects to nothing.
pub fn from_spec(
    spec: &KollectSnapshotSinkSpec,
    secrets: &SinkSecrets<'_>,
    process: &GitProcessSettings,
) -> Result<ConfiguredSink, SinkError> {
    let tls = kollect_spec::tls(&spec.common, secrets)?;
    let endpoint = spec.common.endpoint.as_deref().filter(|endpoint| !endpoint.trim().is_empty());
    let endpoint = endpoint.ok_or_else(|| invalid("spec.endpoint: a git sink needs the URL of its repository"))?;
    let merge_request = spec.gitlab.as_ref().and_then(|gitlab| gitlab.merge_request.as_ref());
    if merge_request.is_some_and(|merge| merge.mode.unwrap_or_default() == GitlabMergeMode::MergeRequest) {
        return Err(invalid("spec.gitlab.mergeRequest.mode: this release pushes directly only; set it to direct"));
    }
    let git = spec.git.clone().unwrap_or_default();
    let secret = secrets.get(GIT_SECRET_REF).or_else(|| secrets.get(SECRET_REF));
    let mut config = GitConfig::new(endpoint, &process.mirror_root);
    config.auth = credentials(secret, uses_ssh(&git, endpoint))?;
    config.push_policy = match git.push_policy.unwrap_or_default() {
        kollect_api::PushPolicy::Commit => PushPolicy::Commit,
        kollect_api::PushPolicy::ForcePush => PushPolicy::ForcePush,
    };
    config.branch = git.branch;
    config.force_basic_auth = git.force_basic_auth.unwrap_or(process.force_basic_auth);
    config.tls = tls;
    config.depth = u32::try_from(git.clone_depth.unwrap_or(1)).unwrap_or(1).max(1);
    config.guard = process.guard.clone();
    // A document that is written must pass the limits when it is fetched back.
    let document = process.max_document.saturating_mul(2);
    config.limits.object = config.limits.object.max(document);
    config.limits.parsed_object = config.limits.parsed_object.max(document);
    config.cluster = spec.common.cluster.clone().unwrap_or_default();
    let sink = GitSink::new(config)?;
    let (host, port, usual_port) = sink.server();
    Ok(ConfiguredSink {
        destination: sink.destination(),
        servers: vec![SinkServer { host, port, usual_port }],
        insecure: sink.insecure(),
        sink: Sink::Files(Arc::new(sink)),
    })
}

fn uses_ssh(git: &GitSettings, endpoint: &str) -> bool {
    git.auth.as_ref().and_then(|auth| auth.type_) == Some(GitAuthType::Ssh)
        || endpoint.starts_with("ssh://")
        || !endpoint.contains("://")
}

fn credentials(secret: Option<&SecretValues<'_>>, ssh: bool) -> Result<GitCredentials, SinkError> {
    let Some(secret) = secret else { return Ok(GitCredentials::None) };
    let user = secret.first_text(&["username"]).map(str::to_owned);
    if ssh {
        let key = secret.first(&SSH_KEYS).and_then(|key| std::str::from_utf8(key).ok()).ok_or_else(|| {
            invalid("the Secret has none of the keys ssh-privatekey, identity, id_rsa, which an ssh URL needs")
        })?;
        let known_hosts = secret.first_text(&["known_hosts"]).map(str::to_owned);
        return Ok(GitCredentials::Ssh { user, private_key: SecretString::new(key), known_hosts });
    }
    let text = |key| secret.first_text(&[key]).map(SecretString::new);
    let (token, password) = (text("token"), text("password"));
    if token.is_none() && password.is_none() {
        return Err(invalid("the Secret has neither a token nor a password"));
    }
    Ok(GitCredentials::Basic { user, token, password })
}

/// The layout of one binding.
pub fn layout(spec: &KollectSnapshotSinkSpec, context: LayoutContext) -> Result<DocumentSpec, SinkError> {
    let layout = kollect_spec::file_layout(&spec.common, format(&spec.common)?, context)?;
    Ok(DocumentSpec { commit: commit(spec), author: author(spec), ..layout })
}

fn format(common: &SinkCommon) -> Result<Format, SinkError> {
    let serialization = common.serialization.clone().unwrap_or_default();
    if serialization.compression.is_some_and(|compression| compression != Compression::None) {
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
