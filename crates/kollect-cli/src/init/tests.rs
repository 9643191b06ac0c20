//! Tests of `kollect init`, that use private items.

use super::*;
use crate::cluster::{AskError, ServedKind};
use crate::documents::{ObjectSet, read_directory};
use kube::api::ApiResource;
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A cluster with one Deployment and one Secret in the namespace `shop`.
struct Fake;

impl ClusterReader for Fake {
    fn address(&self) -> (&str, &str) {
        ("east", "https://east.example")
    }

    fn namespace(&self) -> &'static str {
        "shop"
    }

    fn kind(&self, text: &str) -> Result<ServedKind, String> {
        let (group, kind) = match text {
            "Deployment" => ("apps", "Deployment"),
            "Secret" => ("", "Secret"),
            "Node" => ("", "Node"),
            _ => return Err(format!("no kind {text}")),
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        Ok(ServedKind { resource, namespaced: kind != "Node", collectable: true })
    }

    fn kinds(&self) -> Vec<String> {
        vec!["Deployment.apps".to_owned(), "Secret".to_owned()]
    }

    fn namespaces(&self) -> Result<Vec<String>, AskError> {
        Ok(["shop-a", "shop-b", "other"].map(str::to_owned).to_vec())
    }

    fn candidates(&self, _: &ServedKind, _: Option<&str>, _: u32) -> Result<Vec<(String, String)>, AskError> {
        Ok(vec![("shop".to_owned(), "web".to_owned())])
    }

    fn object(&self, kind: &ServedKind, namespace: &str, name: &str) -> Result<Option<Value>, AskError> {
        if (namespace, name) != ("shop", "web") {
            return Ok(None);
        }
        Ok(Some(if kind.resource.kind == "Secret" {
            json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"pass.word": "c2VjcmV0"}})
        } else {
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "uid": "u"},
                "spec": {"replicas": 2, "selector": {"matchLabels": {"a.b/c": "x"}},
                    "template": {"spec": {"containers": [{"image": "nginx"}], "initContainers": [{"image": "busy"}]}}},
                "status": {"replicas": 1},
            })
        }))
    }
}

/// Answers in order, then none.
struct Script {
    answers: VecDeque<&'static str>,
    shown: String,
}

impl Script {
    fn new(answers: &[&'static str]) -> Self {
        Self { answers: answers.iter().copied().collect(), shown: String::new() }
    }
}

impl Prompt for Script {
    fn show(&mut self, text: &str) {
        self.shown.push_str(text);
        self.shown.push('\n');
    }

    fn ask(&mut self, question: &str, _: &str) -> Option<String> {
        self.show(question);
        self.answers.pop_front().map(str::to_owned)
    }
}

fn args(dir: &Path, kind: Option<&str>) -> InitArgs {
    InitArgs {
        kind: kind.map(str::to_owned),
        namespace: Vec::new(),
        namespace_selector: None,
        sample: None,
        attribute: Vec::new(),
        name: None,
        output_dir: dir.to_owned(),
        force: false,
        yes: kind.is_some(),
        context: None,
        kubeconfig: None,
    }
}

fn written(dir: &Path) -> (Value, Value) {
    let set = ObjectSet::new(read_directory(dir).unwrap());
    let find = |kind| set.of_kind(kind).next().unwrap().value.clone();
    (find("KollectProfile"), find("KollectTarget"))
}

fn paths(profile: &Value) -> Vec<&str> {
    profile["spec"]["attributes"].as_array().unwrap().iter().map(|a| a["path"].as_str().unwrap()).collect()
}

#[test]
fn flags_alone_make_a_config_that_only_its_owner_reads() {
    let dir = tempfile::tempdir().unwrap();
    let mut args = args(dir.path(), Some("Deployment"));
    args.namespace = vec!["shop".to_owned()];
    args.sample = Some("web".to_owned());
    args.attribute = vec![plan::parse_attribute("replicas=$.spec.replicas").unwrap()];
    let next = create(&args, &mut Script::new(&[]), &Fake).unwrap();
    assert!(next.contains("kollect collect --config") && next.contains("--context east"), "{next}");
    let (profile, target) = written(dir.path());
    for path in [
        "$.metadata.name",
        "$.spec.template.spec.containers[*].image",
        "$.spec.template.spec.initContainers[*].image",
        "$.spec.selector.matchLabels['a.b/c']",
        "$.status.replicas",
    ] {
        assert!(paths(&profile).contains(&path), "{path} in {profile}");
    }
    let names: Vec<_> = profile["spec"]["attributes"].as_array().unwrap().iter().map(|a| a["name"].clone()).collect();
    assert!(names.contains(&json!("images")) && names.contains(&json!("statusReplicas")), "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == "replicas").count(), 1);
    assert_eq!(target["spec"]["includedNamespaces"], json!(["shop"]));
    assert_eq!(target["spec"]["profileRef"], profile["metadata"]["name"]);
    for file in ["profile.yaml", "target.yaml"] {
        assert_eq!(fs::metadata(dir.path().join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn suggestions_are_few_and_compile() {
    let fields: serde_json::Map<String, Value> = (0..100).map(|i| (format!("f-{i}"), json!(i))).collect();
    let object = json!({"apiVersion": "x.y/v1", "kind": "Wide", "spec": fields});
    let found = suggest::suggestions(&object, true, false);
    assert_eq!(found.len(), 40);
    let gvk = kollect_model::Gvk::new("x.y", "v1", "Wide");
    let plan = InitPlan {
        name: "w".into(),
        gvk,
        scope: NamespaceChoice::All,
        filter: ObjectChoice::None,
        attributes: found,
        secret_data: false,
    };
    write::files(&plan, Path::new(".")).unwrap();
}

#[test]
fn questions_lead_to_the_same_files() {
    let dir = tempfile::tempdir().unwrap();
    let answers = [
        "y",
        "?",
        "Nothing",
        "Deployment",
        "4",
        "none*",
        "shop-*",
        "2",
        "tier",
        "tier=web",
        "y",
        "1",
        "9000",
        "1,5",
        "Bad Name",
        "web-images",
        "y",
    ];
    let mut script = Script::new(&answers);
    create(&args(dir.path(), None), &mut script, &Fake).unwrap();
    assert!(script.answers.is_empty(), "{:?}", script.answers);
    let (profile, target) = written(dir.path());
    assert_eq!(profile["metadata"]["name"], "web-images");
    assert_eq!(paths(&profile), ["$.metadata.name", "$.spec.template.spec.containers[*].image"]);
    assert_eq!(target["spec"]["includedNamespaces"], json!(["shop-a", "shop-b"]));
    assert_eq!(target["spec"]["labelSelector"]["matchLabels"], json!({"tier": "web"}));
    for shown in ["no kind Nothing", "https://east.example", "come later", "No namespace fits", "is no label"] {
        assert!(script.shown.contains(shown), "{shown} in {}", script.shown);
    }
}

#[test]
fn an_empty_list_of_namespaces_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut script = Script::new(&["y", "Deployment", "2", " , ", "shop", "1", "n", "all", "n"]);
    let error = create(&args(dir.path(), None), &mut script, &Fake).unwrap_err();
    assert!(matches!(error, InitError::Cancelled), "{error}");
    assert!(script.shown.contains("would mean all namespaces"), "{}", script.shown);
}

#[test]
fn giving_up_at_any_question_writes_nothing() {
    let answers = ["y", "Deployment", "1", "1", "y", "1", "all", "web", "y"];
    for count in 0..answers.len() {
        let dir = tempfile::tempdir().unwrap();
        let mut script = Script::new(&answers[..count]);
        let error = create(&args(dir.path(), None), &mut script, &Fake).unwrap_err();
        assert!(matches!(error, InitError::Cancelled), "{count}: {error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{count}");
    }
}

#[test]
fn a_secret_needs_consent_and_never_shows_its_values() {
    let dir = tempfile::tempdir().unwrap();
    let mut script = Script::new(&["y", "Secret", "1", "1", "y", "1", "y", "y", "all", "keys", "y"]);
    create(&args(dir.path(), None), &mut script, &Fake).unwrap();
    let (profile, _) = written(dir.path());
    assert!(paths(&profile).contains(&"$.data['pass.word']"), "{profile}");
    assert_eq!(profile["metadata"]["annotations"]["kollect.dev/allow-secret-extraction"], "true");
    assert!(!script.shown.contains("c2VjcmV0"), "{}", script.shown);
    assert!(!profile.to_string().contains("c2VjcmV0"));

    let dir = tempfile::tempdir().unwrap();
    let mut args = args(dir.path(), Some("Secret"));
    args.sample = Some("web".to_owned());
    create(&args, &mut Script::new(&[]), &Fake).unwrap();
    let (profile, _) = written(dir.path());
    assert!(paths(&profile).contains(&"$.type"), "{profile}");
    assert!(!paths(&profile).iter().any(|path| path.contains("pass.word")), "{profile}");
}

#[test]
fn files_are_replaced_only_after_consent() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("target.yaml"), "mine").unwrap();
    let mut args = args(dir.path(), Some("Deployment"));
    let error = create(&args, &mut Script::new(&[]), &Fake).unwrap_err();
    assert!(matches!(error, InitError::Exists(_)), "{error}");
    args.yes = false;
    let error = create(&args, &mut Script::new(&["y", "n"]), &Fake).unwrap_err();
    assert!(matches!(error, InitError::Cancelled), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join("target.yaml")).unwrap(), "mine");
    assert!(!dir.path().join("profile.yaml").exists());
    args.yes = true;
    args.force = true;
    create(&args, &mut Script::new(&[]), &Fake).unwrap();
    written(dir.path());
}

#[test]
fn a_plan_that_breaks_a_rule_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut args = args(dir.path(), Some("Deployment"));
    args.attribute = vec![plan::parse_attribute("x=cel:object.(").unwrap()];
    let error = create(&args, &mut Script::new(&[]), &Fake).unwrap_err();
    assert!(error.to_string().contains("spec.attributes"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn names_and_labels_are_read_as_people_write_them() {
    assert_eq!(plan::name_from("  My App_2! "), "my-app-2");
    assert!(plan::parse_labels("a=b, c=d").is_ok_and(|labels| labels.len() == 2));
    assert!(plan::parse_labels("").is_err() && plan::parse_labels("a").is_err());
    assert!(plan::parse_attribute("a").is_err());
}
