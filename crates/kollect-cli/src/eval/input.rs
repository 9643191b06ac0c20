//! Reads the profile and the object of `kollect eval`: from files, standard input, the command line or a cluster.

use super::args::EvalArgs;
use crate::cluster::{AskError, ConnectError, block_on, connect, find_kind};
use crate::documents::{InputError, ObjectSet, read_inputs};
use crate::source_map::SourceText;
use kollect_api::{Attribute, GroupVersionKind, KollectProfile, KollectProfileSpec};
use kollect_model::Gvk;
use serde_json::Value;
use std::path::PathBuf;

/// Why there is nothing to evaluate.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// A file.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A file that is not YAML or JSON.
    #[error("{file}:{line}:{column}: {message}")]
    Syntax {
        /// Which.
        file: String,
        /// Where.
        line: usize,
        /// Where.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// No profile in the file.
    #[error("{file}: no KollectProfile{} is in this file", name.as_ref().map(|name| format!(" {name}")).unwrap_or_default())]
    NoProfile {
        /// Which.
        file: String,
        /// The name that was asked for.
        name: Option<String>,
    },
    /// A profile that cannot be read.
    #[error("{file}: the KollectProfile cannot be read: {source}; kollect validate {file} shows where")]
    BadProfile {
        /// Which.
        file: String,
        /// Why.
        source: serde_json::Error,
    },
    /// No fitting object.
    #[error("{file}: no {wanted} is in this file, only {found}")]
    NoObject {
        /// Which.
        file: String,
        /// The profile's kind.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// The kind is not known.
    #[error("{0}")]
    Kind(String),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The object is not in the cluster.
    #[error("no {kind} {namespace}/{name} is in the cluster of context {context:?}")]
    NotFound {
        /// What.
        kind: String,
        /// Where.
        namespace: String,
        /// Which.
        name: String,
        /// Of which cluster.
        context: String,
    },
    /// Reading or writing.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// A profile and the place of its paths.
pub(super) struct Given {
    pub(super) profile: KollectProfile,
    pub(super) set: ObjectSet,
    /// Index of the profile's text and document, and its prefix there; none for `--path`.
    pub(super) place: Option<(usize, usize, String)>,
}

/// Reads the profile, or makes one of `--path`.
pub(super) fn profile(args: &EvalArgs, object: Option<&Value>) -> Result<Given, EvalError> {
    let Some(file) = &args.profile else {
        let gvk = object.map(gvk_of).unwrap_or_default();
        let attributes = args
            .path
            .iter()
            .enumerate()
            .map(|(i, path)| Attribute { name: format!("path{}", i + 1), path: path.clone(), ..Attribute::default() })
            .collect();
        let spec = KollectProfileSpec { target_gvk: gvk, attributes, ..KollectProfileSpec::default() };
        let set = ObjectSet::new(Vec::new());
        return Ok(Given { profile: KollectProfile::new("paths", spec), set, place: None });
    };
    let set = read(file)?;
    let name = args.profile_name.as_deref();
    let fits = |found: &str| name.is_none_or(|name| name == found);
    let Some(found) = set.of_kind("KollectProfile").find(|object| fits(object.name())) else {
        return Err(EvalError::NoProfile { file: file.display().to_string(), name: args.profile_name.clone() });
    };
    let place = Some((found.source, found.document, found.prefix.to_owned()));
    let profile = serde_json::from_value(found.value.clone())
        .map_err(|source| EvalError::BadProfile { file: file.display().to_string(), source })?;
    Ok(Given { profile, set, place })
}

fn read(file: &PathBuf) -> Result<ObjectSet, EvalError> {
    let sources = read_inputs(None, std::slice::from_ref(file))?;
    for source in &sources {
        if let Some(error) = source.errors.first() {
            let place = source.position(error.span.start);
            let (file, message) = (source.name.clone(), error.message.clone());
            return Err(EvalError::Syntax { file, line: place.line, column: place.column, message });
        }
    }
    Ok(ObjectSet::new(sources))
}

/// Group, version and kind of an object.
fn gvk_of(object: &Value) -> GroupVersionKind {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let kind = object["kind"].as_str().unwrap_or_default();
    GroupVersionKind { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
}

/// Reads the object of a file: the first one of the profile's kind, or the first one at all.
pub(super) fn object_of_file(file: &PathBuf, wanted: Option<&Gvk>) -> Result<Value, EvalError> {
    let set = read(file)?;
    let fits = |value: &Value| wanted.is_none_or(|wanted| Gvk::from(&gvk_of(value)).matches_ignoring_case(wanted));
    if let Some(found) = set.objects().find(|object| fits(object.value)) {
        return Ok(found.value.clone());
    }
    let mut kinds: Vec<String> = set.objects().map(|o| Gvk::from(&gvk_of(o.value)).to_string()).collect();
    kinds.dedup();
    let found = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
    let wanted = wanted.map_or_else(|| "object".to_owned(), ToString::to_string);
    Err(EvalError::NoObject { file: file.display().to_string(), wanted, found })
}

/// Fetches the object that `--name` names.
pub(super) fn object_of_cluster(args: &EvalArgs, gvk: Option<&Gvk>, name: &str) -> Result<Value, EvalError> {
    block_on(async {
        let cluster = connect(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
        let catalog = cluster.catalog().await?;
        let kind = match (gvk, &args.kind) {
            (Some(gvk), _) => {
                catalog.get(gvk).ok_or_else(|| EvalError::Kind(format!("the cluster does not serve {gvk}")))?
            }
            (None, Some(text)) => find_kind(&catalog, text).map_err(EvalError::Kind)?,
            (None, None) => {
                return Err(EvalError::Kind("add --kind, as there is no profile that names one".to_owned()));
            }
        };
        let namespace = args.namespace.clone().unwrap_or_else(|| cluster.namespace.clone());
        let Some(mut object) = cluster.get(&kind, &namespace, name).await? else {
            let (kind, name) = (kind.gvk().to_string(), name.to_owned());
            return Err(EvalError::NotFound { kind, namespace, name, context: cluster.context });
        };
        object.metadata.managed_fields = None;
        Ok(serde_json::to_value(object).unwrap_or_default())
    })?
}

/// A path of the command line as a text to point into.
pub(super) fn path_source(path: &str) -> SourceText {
    SourceText { name: "--path".to_owned(), text: path.to_owned(), documents: Vec::new(), errors: Vec::new() }
}
