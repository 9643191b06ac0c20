//! One file of `tests/cases`.

use kollect_api::{KollectClusterScope, KollectProfile, KollectScope};
use kollect_rules::{Review, ReviewFacts, RuleSettings, SecretExtractionPolicy, needs, review};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// An object and its expected review.
pub(crate) struct Case {
    pub(crate) name: String,
    data: Value,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// Every case, in order of names.
pub(crate) fn all() -> Vec<Case> {
    let kinds = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = kinds.flat_map(|kind| std::fs::read_dir(kind).unwrap().map(|entry| entry.unwrap().path()));
    let mut cases: Vec<Case> =
        files.filter(|path| path.extension().is_some_and(|e| e == "yaml")).map(|path| read(&path)).collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() >= 250, "there are only {} cases", cases.len());
    cases
}

fn read(path: &Path) -> Case {
    let name = path.strip_prefix(folder()).unwrap().display().to_string();
    let text = std::fs::read_to_string(path).unwrap();
    let data = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    Case { name, data }
}

impl Case {
    pub(crate) fn object(&self) -> &Value {
        &self.data["object"]
    }

    pub(crate) fn is_refused(&self) -> bool {
        match self.text("verdict") {
            "refused" => true,
            "accepted" => false,
            other => panic!("{}: verdict {other:?}", self.name),
        }
    }

    pub(crate) fn is_of_schema(&self) -> bool {
        self.text("layer") == "crd"
    }

    pub(crate) fn rules(&self) -> Vec<&str> {
        self.text("rule").split(',').map(str::trim).filter(|rule| !rule.is_empty()).collect()
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.data[key].as_str().unwrap_or_default()
    }

    pub(crate) fn list(&self, key: &str) -> Vec<&str> {
        self.data[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    fn given<T: serde::de::DeserializeOwned>(&self, kind: &str) -> Vec<T> {
        let given = self.data["given"].as_array().into_iter().flatten().filter(|object| object["kind"] == kind);
        given
            .map(|object| serde_json::from_value(object.clone()).unwrap_or_else(|e| panic!("{}: {e}", self.name)))
            .collect()
    }

    /// The review, with the other objects that it needs.
    pub(crate) fn review(&self) -> Review {
        let needed = needs(self.object());
        let profiles: Vec<KollectProfile> = self.given("KollectProfile");
        let scopes: Vec<KollectScope> = self.given("KollectScope");
        let cluster_scopes: Vec<KollectClusterScope> = self.given("KollectClusterScope");
        let profile = needed.profile.as_ref().and_then(|(namespace, name)| {
            profiles.iter().find(|profile| {
                profile.metadata.namespace.as_ref() == Some(namespace) && profile.metadata.name.as_ref() == Some(name)
            })
        });
        let of_namespace =
            |scope: &KollectScope| needed.scope_of.is_some() && scope.metadata.namespace == needed.scope_of;
        let scopes: Vec<KollectScope> = scopes.into_iter().filter(of_namespace).collect();
        let cluster_scopes: &[KollectClusterScope] = if needed.cluster_scope { &cluster_scopes } else { &[] };
        let facts = ReviewFacts { profile, scopes: &scopes, cluster_scopes, schema: None };
        review(self.object(), &self.settings(), &facts).unwrap_or_else(|| panic!("{}: no Kollect kind", self.name))
    }

    fn settings(&self) -> RuleSettings {
        let mut settings = RuleSettings::default();
        for (key, value) in self.data["settings"].as_object().into_iter().flatten() {
            match key.as_str() {
                "secretExtraction" => {
                    settings.secret_extraction = match value.as_str().unwrap() {
                        "never" => SecretExtractionPolicy::Never,
                        "scoped" => SecretExtractionPolicy::Scoped,
                        "any" => SecretExtractionPolicy::Any,
                        other => panic!("{}: secretExtraction {other}", self.name),
                    }
                }
                "tenantMode" => settings.tenant_mode = value.as_bool().unwrap(),
                "allowPrivateSinks" => settings.allow_private_sinks = value.as_bool().unwrap(),
                "allowLoopbackSinks" => settings.allow_loopback_sinks = value.as_bool().unwrap(),
                "maxExportBytes" => settings.max_export_bytes = value.as_i64().unwrap(),
                other => panic!("{}: setting {other}", self.name),
            }
        }
        settings
    }

    /// The difference between expected and actual review, if any.
    pub(crate) fn complaint(&self) -> Option<String> {
        let got = self.review();
        if !self.is_refused() {
            return match got.violations.first() {
                Some(violation) => Some(format!("should be accepted, but: {violation}")),
                None => self.warnings_complaint(&got),
            };
        }
        let fits = |v: &&kollect_rules::Violation| {
            let (field, wanted) = (v.field.as_str(), self.text("field"));
            // An API server may name the holder of a field.
            field == wanted || (self.is_of_schema() && (field.starts_with(wanted) || wanted.starts_with(field)))
        };
        let all = || got.violations.iter().map(|v| format!("[{}] {v}", v.rule)).collect::<Vec<_>>().join("\n      ");
        let at: Vec<_> = got.violations.iter().filter(fits).collect();
        if at.is_empty() {
            return Some(format!("should be refused at {}, but:\n      {}", self.text("field"), all()));
        }
        let rules = self.rules();
        if !at.iter().any(|v| rules.contains(&v.rule) || v.rule == "schema") {
            return Some(format!("should be refused by {rules:?}, but:\n      {}", all()));
        }
        let text = at.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").to_lowercase();
        let missing: Vec<_> =
            self.list("words").into_iter().filter(|word| !text.contains(&word.to_lowercase())).collect();
        (!missing.is_empty()).then(|| format!("lacks the words {missing:?}:\n      {}", all()))
    }

    fn warnings_complaint(&self, got: &Review) -> Option<String> {
        // Those files test the schema alone and list no warnings.
        if self.name.contains("/crd-") {
            return None;
        }
        let wanted = self.list("warns");
        let texts: Vec<String> =
            got.warnings.iter().map(|w| format!("[{}] {}: {}", w.rule, w.field, w.message)).collect();
        let fit = wanted.len() == texts.len()
            && wanted.iter().zip(&texts).all(|(word, text)| text.to_lowercase().contains(&word.to_lowercase()));
        (!fit).then(|| format!("should warn of {wanted:?}, but warns:\n      {}", texts.join("\n      ")))
    }
}
