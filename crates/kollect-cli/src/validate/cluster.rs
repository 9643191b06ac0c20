//! Checks that need a cluster: kinds served, CRDs of this version, rights of the user, Secrets and references.
//!
//! It reads metadata of Secrets, never their data.

use super::finding::{Mark, ValidateFinding};
use super::references;
use crate::cluster::{AskError, Catalog, Cluster, ConnectError, block_on, connect};
use crate::documents::{ObjectSet, SetObject};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kollect_api::{GROUP, KollectProfile, VERSION, all_crds};
use kollect_model::Gvk;
use kollect_rules::{kind_schema, shape_warnings};
use kube::Api;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Why the cluster could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// No runtime for requests.
    #[error("starting to ask the cluster: {0}")]
    Start(#[from] std::io::Error),
}

/// All checks that need a cluster.
pub(super) fn run(
    set: &ObjectSet,
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<Vec<ValidateFinding>, ClusterError> {
    block_on(async {
        let cluster = connect(kubeconfig, context).await?;
        let catalog = cluster.catalog().await?;
        let mut check = Check { set, cluster, catalog, findings: Vec::new() };
        check.crds().await?;
        check.references().await?;
        check.targets().await?;
        check.shapes().await?;
        check.secrets().await?;
        Ok(check.findings)
    })?
}

struct Check<'a> {
    set: &'a ObjectSet,
    cluster: Cluster,
    catalog: Catalog,
    findings: Vec<ValidateFinding>,
}

impl Check<'_> {
    fn add(&mut self, object: &SetObject<'_>, field: &str, message: String) {
        self.findings
            .push(ValidateFinding::about(self.set, object, "cluster", field, Mark::Value).with_message(message));
    }

    fn warn(&mut self, object: &SetObject<'_>, field: &str, message: String) {
        let finding = ValidateFinding::about(self.set, object, "cluster", field, Mark::Value).with_message(message);
        self.findings.push(finding.warning());
    }

    /// The CRDs of the kinds in the files are installed, with the schema of this version.
    async fn crds(&mut self) -> Result<(), AskError> {
        let mut first: BTreeMap<&str, SetObject<'_>> = BTreeMap::new();
        for object in self.set.objects().filter(SetObject::is_kollect) {
            first.entry(object.kind()).or_insert(object);
        }
        let api: Api<CustomResourceDefinition> = Api::all(self.cluster.client.clone());
        for ours in all_crds() {
            let kind = ours.spec.names.kind.clone();
            let Some(object) = first.get(kind.as_str()) else { continue };
            let name = format!("{}.{GROUP}", ours.spec.names.plural);
            match api.get_opt(&name).await {
                Ok(Some(theirs)) if same_schema(&ours, &theirs) => {}
                Ok(Some(_)) => self.warn(object, "kind", format!(
                    "the CRD {name} in the cluster is not the one of this version of Kollect; run kollect crds | kubectl apply --server-side -f -"
                )),
                Ok(None) => self.add(object, "kind", format!(
                    "the cluster does not know {kind}; run kollect crds | kubectl apply --server-side -f -"
                )),
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    self.warn(object, "kind", format!("whether the CRD {name} is right is unknown; you may not read it"));
                }
                Err(error) => return Err(self.cluster.ask_error(format!("the CRD {name}"))(error)),
            }
        }
        Ok(())
    }

    /// What the files name and do not have is in the cluster.
    async fn references(&mut self) -> Result<(), AskError> {
        for missing in references::check(self.set).missing {
            // A kind that is not installed was named already.
            let Some(kind) = self.catalog.get(&Gvk::new(GROUP, VERSION, missing.kind)) else { continue };
            let namespace = self.or_default(&missing.namespace);
            if self.cluster.get(&kind, &namespace, &missing.name).await?.is_none() {
                self.findings.push(missing.finding(self.set, "these files or the cluster"));
            }
        }
        Ok(())
    }

    fn or_default(&self, namespace: &str) -> String {
        if namespace.is_empty() { self.cluster.namespace.clone() } else { namespace.to_owned() }
    }

    /// What targets collect is served, and may be listed and watched.
    async fn targets(&mut self) -> Result<(), AskError> {
        let set = self.set;
        for target in set.of_kind("KollectTarget").chain(set.of_kind("KollectClusterTarget")) {
            let (field, namespace, name) = match target.kind() {
                "KollectTarget" => ("spec.profileRef", target.namespace(), target.text("/spec/profileRef")),
                _ => (
                    "spec.profileRef.name",
                    target.text("/spec/profileRef/namespace"),
                    target.text("/spec/profileRef/name"),
                ),
            };
            let Some(profile) = self.profile(namespace, name).await? else { continue };
            let gvk = Gvk::from(&profile.spec.target_gvk);
            let Some(kind) = self.catalog.get(&gvk) else {
                let own = set.find("KollectProfile", namespace, name);
                let message = format!(
                    "the cluster does not serve {gvk}; install what defines it, or fix spec.targetGVK of the profile"
                );
                match own {
                    Some(profile) => self.add(&profile, "spec.targetGVK.kind", message),
                    None => self.add(&target, field, message),
                }
                continue;
            };
            for namespace in namespaces_of(&target) {
                for verb in ["list", "watch"] {
                    if !self.cluster.may(verb, &kind, namespace).await? {
                        let place = if namespace.is_empty() {
                            "all namespaces".to_owned()
                        } else {
                            format!("namespace {namespace}")
                        };
                        self.warn(&target, field, format!(
                            "you may not {verb} {} in {place}; kollect collect would skip it, and the operator needs the right itself",
                            kind.resource.plural
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Paths of profiles lead somewhere in the objects that the cluster serves.
    async fn shapes(&mut self) -> Result<(), AskError> {
        let set = self.set;
        let mut documents: BTreeMap<String, Option<String>> = BTreeMap::new();
        for object in set.of_kind("KollectProfile") {
            let Some(profile) = set.profile(object.namespace(), object.name()) else { continue };
            let gvk = Gvk::from(&profile.spec.target_gvk);
            if self.catalog.get(&gvk).is_none() {
                continue;
            }
            let api_version = gvk.api_version();
            if !documents.contains_key(&api_version) {
                documents.insert(api_version.clone(), self.cluster.openapi(&gvk).await?);
            }
            let document = documents.get(&api_version).and_then(Option::as_deref);
            let Some(schema) = document.and_then(|document| kind_schema(document, &gvk)) else { continue };
            for warning in shape_warnings(&profile, &schema) {
                let finding = ValidateFinding::about(set, &object, warning.rule, &warning.field, Mark::Value);
                self.findings.push(finding.with_message(warning.message).warning());
            }
        }
        Ok(())
    }

    async fn profile(&self, namespace: &str, name: &str) -> Result<Option<KollectProfile>, AskError> {
        if let Some(profile) = self.set.profile(namespace, name) {
            return Ok(Some(profile));
        }
        let Some(kind) = self.catalog.get(&Gvk::new(GROUP, VERSION, "KollectProfile")) else { return Ok(None) };
        if name.is_empty() {
            return Ok(None);
        }
        let found = self.cluster.get(&kind, &self.or_default(namespace), name).await?;
        Ok(found
            .and_then(|object| serde_json::to_value(object).ok())
            .and_then(|value| serde_json::from_value(value).ok()))
    }

    /// Secrets that sinks name exist, here or there.
    async fn secrets(&mut self) -> Result<(), AskError> {
        let set = self.set;
        for object in set.objects().filter(SetObject::is_kollect) {
            let mut references = Vec::new();
            secret_references(&object.value["spec"], "spec", &mut references);
            for (field, name, namespace) in references {
                let namespace = self.or_default(if namespace.is_empty() { object.namespace() } else { namespace });
                let in_files = set.objects().any(|other| {
                    other.kind() == "Secret"
                        && other.text("/apiVersion") == "v1"
                        && other.name() == name
                        && other.is_in(&namespace)
                });
                if in_files {
                    continue;
                }
                let api: Api<Secret> = Api::namespaced(self.cluster.client.clone(), &namespace);
                match api.get_metadata_opt(name).await {
                    Ok(Some(_)) => {}
                    Ok(None) => self.add(&object, &field, format!("no Secret {name} is in namespace {namespace}; create it or fix the name")),
                    Err(kube::Error::Api(status)) if status.code == 403 => self.warn(&object, &field, format!(
                        "whether the Secret {name} exists is unknown; you may not read Secrets in namespace {namespace}"
                    )),
                    Err(error) => return Err(self.cluster.ask_error(format!("the Secret {namespace}/{name}"))(error)),
                }
            }
        }
        Ok(())
    }
}

/// Namespaces that a target names; one empty name when it names none, or selects them by labels.
fn namespaces_of<'a>(target: &SetObject<'a>) -> Vec<&'a str> {
    let named = target.value.pointer("/spec/includedNamespaces").and_then(Value::as_array);
    let named: Vec<&str> = named.into_iter().flatten().filter_map(Value::as_str).collect();
    if named.is_empty() { vec![""] } else { named }
}

/// Every `…SecretRef` and `databaseRef` below a value, as field of its name, name and namespace.
fn secret_references<'a>(value: &'a Value, at: &str, found: &mut Vec<(String, &'a str, &'a str)>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let at = format!("{at}.{key}");
                let is_secret = key.to_ascii_lowercase().ends_with("secretref") || key == "databaseRef";
                match value["name"].as_str().filter(|_| is_secret) {
                    Some(name) => {
                        found.push((format!("{at}.name"), name, value["namespace"].as_str().unwrap_or_default()));
                    }
                    None => secret_references(value, &at, found),
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                secret_references(item, &format!("{at}[{i}]"), found);
            }
        }
        _ => {}
    }
}

/// Whether both have the same schema of this version.
fn same_schema(ours: &CustomResourceDefinition, theirs: &CustomResourceDefinition) -> bool {
    let schema = |crd: &CustomResourceDefinition| {
        let version = crd.spec.versions.iter().find(|version| version.name == VERSION)?;
        serde_json::to_value(version.schema.as_ref()?).ok()
    };
    schema(ours) == schema(theirs)
}
