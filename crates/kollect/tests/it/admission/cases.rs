//! The admission cases that the rules, the schemas and the webhook share: read from files, sent to an API server.
//!
//! An expected verdict is part of the file, never derived from what a layer answers.

use anyhow::{Context as _, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::client::Body;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Who must refuse an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Layer {
    Crd,
    Webhook,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Accepted,
    Refused,
}

/// One file.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) verdict: Verdict,
    #[serde(default)]
    pub(crate) layer: Option<Layer>,
    #[serde(default)]
    pub(crate) field: String,
    #[serde(default)]
    pub(crate) words: Vec<String>,
    /// One word per expected warning. Only a webhook warns.
    #[serde(default)]
    pub(crate) warns: Vec<String>,
    /// Settings of the operator that differ from the defaults.
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, Value>,
    /// Objects that exist before.
    #[serde(default)]
    pub(crate) given: Vec<Value>,
    pub(crate) object: Value,
    /// The file, below the directory of the cases.
    #[serde(skip)]
    pub(crate) file: String,
}

/// What the API server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) warnings: Vec<String>,
}

/// Every case, in order of file names.
pub(crate) fn all() -> anyhow::Result<Vec<Case>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kollect-rules/tests/cases");
    let mut cases = Vec::new();
    for path in files(&root)? {
        let text = std::fs::read_to_string(&path)?;
        let mut case: Case = serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?;
        case.file = path.strip_prefix(&root)?.display().to_string();
        ensure!(
            (case.verdict == Verdict::Refused) == case.layer.is_some(),
            "{}: a refused case names its layer, an accepted one has none",
            case.file
        );
        cases.push(case);
    }
    ensure!(!cases.is_empty(), "no cases below {}", root.display());
    Ok(cases)
}

fn files(dir: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.insert(path);
        }
    }
    Ok(found)
}

impl Case {
    /// The namespaces of the object and of what is given.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &str> {
        let objects = std::iter::once(&self.object).chain(&self.given);
        objects.filter_map(|object| object.pointer("/metadata/namespace").and_then(Value::as_str))
    }

    /// Creates the object without storing it. Unknown fields are refused.
    pub(crate) async fn send(&self, client: &kube::Client) -> anyhow::Result<Answer> {
        create(client, &self.object, "dryRun=All&fieldValidation=Strict").await
    }

    /// What is wrong with an answer; `None` when it matches the case.
    pub(crate) fn judge(&self, answer: &Answer, with_webhook: bool) -> Option<String> {
        let Answer { status, message, warnings } = answer;
        let crd = self.layer == Some(Layer::Crd);
        let refused = self.verdict == Verdict::Refused && (crd || with_webhook);
        if !refused {
            if *status >= 300 {
                return Some(format!("refused with {status}: {message}"));
            }
            return if with_webhook { self.judge_warnings(warnings) } else { None };
        }
        let expected: &[u16] = if crd { &[400, 422] } else { &[403] };
        if !expected.contains(status) {
            return Some(format!("answered {status} instead of {expected:?}: {message}"));
        }
        let missing: Vec<_> = self.words.iter().filter(|word| !holds(message, word)).collect();
        let named = message.contains(&self.field) || (crd && holders(&self.field).any(|at| message.contains(at)));
        (!named || !missing.is_empty())
            .then(|| format!("field {} named: {named}; words missing: {missing:?}; message: {message}", self.field))
    }
    /// Cases of the schema are silent about warnings, and all of them about the shapes that a cluster knows.
    fn judge_warnings(&self, warnings: &[String]) -> Option<String> {
        let warnings: Vec<_> =
            warnings.iter().filter(|warning| !warning.contains("objects of this kind never have")).collect();
        let fit = warnings.len() == self.warns.len()
            && warnings.iter().zip(&self.warns).all(|(warning, word)| holds(warning, word));
        (!fit && !self.file.contains("/crd-")).then(|| format!("warns {warnings:?} instead of {:?}", self.warns))
    }

    /// What is wrong with the response of the webhook itself, which sees what the schema refuses as well.
    pub(crate) fn judge_review(&self, response: &Value) -> Option<String> {
        let allowed = response["allowed"] == true;
        if allowed != (self.verdict == Verdict::Accepted) {
            return Some(format!("the webhook answers {response}"));
        }
        if allowed {
            let warnings: Vec<String> = serde_json::from_value(response["warnings"].clone()).unwrap_or_default();
            return self.judge_warnings(&warnings);
        }
        let message = response["status"]["message"].as_str().unwrap_or_default();
        let missing: Vec<_> = self.words.iter().filter(|word| !holds(message, word)).collect();
        let crd = self.layer == Some(Layer::Crd);
        let named = message.contains(&self.field) || (crd && holders(&self.field).any(|at| message.contains(at)));
        (!named || !missing.is_empty()).then(|| {
            format!("the webhook: {} named: {named}; words missing: {missing:?}; message: {message}", self.field)
        })
    }
}

fn holds(text: &str, word: &str) -> bool {
    text.to_lowercase().contains(&word.to_lowercase())
}

/// The objects that hold a field, the nearest first; `spec` only for its own fields.
fn holders(field: &str) -> impl Iterator<Item = &str> {
    let mut at = field;
    let direct = field.matches(['.', '[']).count() <= 1;
    std::iter::from_fn(move || {
        at = &at[..at.rfind(['.', '['])?];
        (direct || at != "spec").then_some(at)
    })
}

/// The collection an object of Kollect belongs to, e.g. `/apis/kollect.dev/v1alpha1/namespaces/a/kolleckttargets`.
fn collection(object: &Value) -> anyhow::Result<String> {
    // Made once, because making them is slow without optimisation.
    static CRDS: LazyLock<Vec<CustomResourceDefinition>> = LazyLock::new(kollect_api::all_crds);
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = text("/kind");
    let crd = CRDS.iter().find(|crd| crd.spec.names.kind == kind).with_context(|| format!("unknown kind {kind:?}"))?;
    let base = format!("/apis/{}", text("/apiVersion"));
    Ok(match (crd.spec.scope.as_str(), text("/metadata/namespace")) {
        ("Namespaced", "") => format!("{base}/namespaces/default/{}", crd.spec.names.plural),
        ("Namespaced", namespace) => format!("{base}/namespaces/{namespace}/{}", crd.spec.names.plural),
        _ => format!("{base}/{}", crd.spec.names.plural),
    })
}

/// Creates an object and returns the response of the API server.
pub(crate) async fn create(client: &kube::Client, object: &Value, query: &str) -> anyhow::Result<Answer> {
    let request = kube::core::Request::new(collection(object)?);
    let request = request.create(&kube::api::PostParams::default(), serde_json::to_vec(object)?)?;
    let mut request = request.map(Body::from);
    *request.uri_mut() = format!("{}{query}", request.uri()).parse()?;
    let response = client.send(request).await?;
    let status = response.status().as_u16();
    let warnings = response.headers().get_all("warning").iter();
    let warnings = warnings.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
    let body = response.into_body().collect_bytes().await?;
    let body: Value = serde_json::from_slice(&body)?;
    let message = body.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Answer { status, message, warnings })
}
