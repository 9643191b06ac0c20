//! The corpus of `tests/redaction.jsonl`, extracted by every expression language.
//!
//! A line is a part of an object. With `secrets` it is a positive: none of them may be in the row, and what is `kept`
//! must. Without, it is a negative, which is unchanged in the row.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kollect_api::KollectProfile;
use kollect_extract::{Extractor, Predicate, RedactedObject, Scratch};
use kollect_model::Gvk;
use serde_json::{Value, json};
use std::io::Write as _;

struct Case {
    name: String,
    spec: Value,
    secrets: Vec<String>,
    kept: Vec<String>,
    positive: bool,
}

fn corpus() -> Vec<Case> {
    let texts =
        |value: &Value| value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect();
    include_str!("../redaction.jsonl")
        .lines()
        .map(|line| {
            let case: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            Case {
                name: case["case"].as_str().unwrap().to_owned(),
                spec: case["spec"].clone(),
                secrets: texts(&case["secrets"]),
                kept: texts(&case["kept"]),
                positive: case["secrets"].is_array(),
            }
        })
        .collect()
}

fn gvk(kind: &str) -> Gvk {
    Gvk::new("", "v1", kind)
}

fn extractor(kind: &str, attributes: &[(&str, &str)], export: &Value) -> Extractor {
    let attributes: Vec<Value> =
        attributes.iter().map(|(name, path)| json!({"name": name, "path": path, "optional": true})).collect();
    let spec = json!({"targetGVK": {"version": "v1", "kind": kind}, "attributes": attributes, "export": export});
    let mut profile = KollectProfile::new("p", serde_json::from_value(spec).unwrap());
    let allow = ["kollect.dev/allow-secret-extraction", "kollect.dev/allow-full-resource-export"];
    profile.metadata.annotations = Some(allow.map(|key| (key.to_owned(), "true".to_owned())).into());
    Extractor::of_profile(&profile, &[]).unwrap_or_else(|errors| panic!("{attributes:?}: {errors:?}"))
}

/// The row, decoded as when it is collected and as when it is in memory: both are the same.
fn row(extractor: &Extractor, kind: &str, object: &Value) -> String {
    let mut scratch = Scratch::default();
    let masked = extractor.mask().decode(&gvk(kind), &object.to_string()).unwrap();
    let whole = RedactedObject::of(&gvk(kind), object).unwrap();
    let mut text = |object: &RedactedObject| match extractor.extract(object, &mut scratch) {
        Ok(row) => row.get().to_owned(),
        Err(error) => error.to_string(),
    };
    let (masked, whole) = (text(&masked), text(&whole));
    assert_eq!(masked, whole, "{object}");
    masked
}

/// Profiles with every kind of path, filter, join and copy.
const WAYS: &[(&str, &str)] = &[
    ("whole", "$"),
    ("spec", "$.spec"),
    ("members", "$.spec.*"),
    ("descent", "$..value"),
    ("texts", "$.spec.text"),
    ("args", "$.spec.args[*]"),
    ("envs", "$.spec.env[*].value"),
    ("defaults", "$.spec.env[*].default"),
    ("filtered", "$.spec.env[?(@.name!=\"x\")].value"),
    ("params", "$.spec.params[*]['value','default','values']"),
    ("joined", "cel:object.spec.env.map(e, e.name + '=' + e.value)"),
    ("args2", "cel:object.spec.args.join(' ')"),
    ("args3", "cel:object.spec.args.map(a, a.replace('a', 'a'))"),
    ("headers", "cel:object.spec.httpGet.httpHeaders.map(h, h.name + ': ' + h.value)"),
    ("entries", "cel:object.spec.transformList(k, v, k + '=' + string(v))"),
    ("deep", "cel:object.spec.x.transformList(k, v, k + '=' + v)"),
    ("copied", "cel:[object.spec]"),
    ("text2", "cel:object.spec.text + ''"),
    ("text3", "cel:object.spec.text.split('')"),
    ("lower", "cel:object.spec.text.lowerAscii()"),
    ("annotations", "cel:object.spec.annotations.transformList(k, v, v)"),
];

fn copy() -> Value {
    json!({"mode": "Resource", "include": "All", "as": "copy", "prune": {"defaults": false}})
}

fn leaks(case: &Case, shown: &str) -> Vec<String> {
    let escaped = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let all = case.secrets.iter().flat_map(|secret| [secret.clone(), escaped(secret), secret.to_lowercase()]);
    all.filter(|secret| shown.contains(secret.as_str()))
        .map(|secret| format!("{}: {secret:?} in {shown}", case.name))
        .collect()
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_corpus_is_large_enough() {
    let (positive, negative): (Vec<Case>, Vec<Case>) = corpus().into_iter().partition(|case| case.positive);
    assert!(positive.len() >= 150 && negative.len() >= 80, "{} and {}", positive.len(), negative.len());
}

#[test]
fn no_attribute_no_filter_no_join_and_no_copy_shows_a_secret_of_the_corpus() {
    let all = extractor("X", WAYS, &copy());
    let mut wrong = Vec::new();
    for case in corpus().iter().filter(|case| case.positive) {
        let object = json!({"metadata": {"name": "n"}, "spec": case.spec, "data": {"a": case.spec.to_string()}});
        let shown = row(&all, "X", &object);
        wrong.extend(leaks(case, &shown));
        for way in WAYS {
            wrong.extend(leaks(case, &row(&extractor("X", &[*way], &Value::Null), "X", &object)));
        }
        let copied: Value = serde_json::from_str(&shown).unwrap();
        let spec = copied["copy"]["spec"].to_string();
        let missing = case
            .kept
            .iter()
            .filter(|kept| !spec.contains(&serde_json::to_string(kept).unwrap().trim_matches('"').to_owned()));
        wrong.extend(missing.map(|kept| format!("{}: {kept:?} is missing in {spec}", case.name)));
    }
    report(&wrong);
}

#[test]
fn what_is_no_secret_comes_out_unchanged() {
    let all = extractor("X", &[("spec", "$.spec"), ("made", "cel:[object.spec]")], &copy());
    let mut wrong = Vec::new();
    for case in corpus().iter().filter(|case| !case.positive) {
        let shown: Value = serde_json::from_str(&row(&all, "X", &json!({"metadata": {}, "spec": case.spec}))).unwrap();
        for got in [&shown["spec"], &shown["made"][0], &shown["copy"]["spec"]] {
            if case.name != "the text password: ***" && *got != case.spec {
                wrong.push(format!("{}: {got}", case.name));
            }
        }
    }
    report(&wrong);
}

#[test]
fn no_filter_of_a_target_can_ask_for_a_secret() {
    for case in corpus().iter().filter(|case| case.positive) {
        for secret in &case.secrets {
            let literal = serde_json::to_string(secret).unwrap();
            let object = RedactedObject::of(&gvk("X"), &json!({"spec": case.spec})).unwrap();
            for asks in [
                format!("object.spec.env.exists(e, e.value.contains({literal}))"),
                format!("object.spec.text.contains({literal})"),
                format!("object.spec.args.exists(a, a.contains({literal}))"),
                format!("object.spec.x.exists(k, object.spec.x[k].contains({literal}))"),
            ] {
                assert!(!Predicate::compile(&asks).unwrap().eval(&object).unwrap_or(false), "{}: {asks}", case.name);
            }
        }
    }
}

#[test]
fn no_field_of_a_helm_release_shows_a_secret_of_the_corpus() {
    let paths = ["releaseName", "info", "chart", "config", "labels", "info.description", "config.spec"];
    let ways: Vec<(String, String)> =
        paths.iter().map(|path| (path.replace('.', "-"), format!("helm:release.{path}"))).collect();
    let ways: Vec<(&str, &str)> = ways.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect();
    let fields = extractor("Secret", &ways, &Value::Null);
    let mut wrong = Vec::new();
    for case in corpus().iter().filter(|case| case.positive) {
        let text = case.spec["text"].as_str().unwrap_or("none");
        let release = json!({
            "name": "r", "config": {"spec": case.spec}, "labels": case.spec, "info": {"description": text, "x": case.spec},
            "chart": {"metadata": {"name": "c", "annotations": case.spec}},
        });
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(release.to_string().as_bytes()).unwrap();
        let data = STANDARD.encode(STANDARD.encode(packed.finish().unwrap()));
        let object = json!({"kind": "Secret", "metadata": {"name": "n"}, "data": {"release": data}});
        wrong.extend(leaks(case, &row(&fields, "Secret", &object)));
    }
    report(&wrong);
}

#[test]
fn data_of_a_secret_that_a_profile_may_read_is_redacted_by_key_and_by_value() {
    let ways = [
        ("all", "$.data"),
        ("one", "$.data.password"),
        ("joined", "cel:object.data.transformList(k, v, k + '=' + v)"),
        ("plain", "cel:string(base64.decode(object.data.plain))"),
        ("decoded", "cel:object.data.transformList(k, v, string(base64.decode(v)))"),
    ];
    let fields = extractor("Secret", &ways, &Value::Null);
    let secret = STANDARD.encode("pl4nted-S3cret");
    let dsn = STANDARD.encode("host=db password=pl4nted-S3cret");
    let object =
        json!({"metadata": {"name": "n"}, "data": {"password": secret, "dsn": dsn, "plain": STANDARD.encode("kept")}});
    let shown = row(&fields, "Secret", &object);
    for leak in ["pl4nted", &secret, &dsn] {
        assert!(!shown.contains(leak), "{shown}");
    }
    assert!(shown.contains(&STANDARD.encode("kept")) && shown.contains("\"plain\":\"kept\""), "{shown}");
}

#[test]
fn annotations_of_core_secrets_are_kept_only_where_they_are_known() {
    let copies = json!({"data": {"password": "cGw0bnRlZA=="}}).to_string();
    let object = json!({
        "metadata": {"name": "n", "annotations": {
            "kollect.dev/allowed-hosts": "github.com", "meta.helm.sh/release-name": "kept", "cert-manager.io/issuer-name": "kept",
            "kopf.zalando.org/last-handled-configuration": copies, "objectset.rio.cattle.io/applied": "H4sIplanted",
            "banzaicloud.com/last-applied": "UEsplanted", "kapp.k14s.io/original": "data: {a: cGw0bnRlZA==}", "note": "cGw0bnRlZA==",
        }},
        "data": {"password": "cGw0bnRlZA=="},
    });
    let ways = [
        ("all", "$.metadata.annotations"),
        ("one", "$.metadata.annotations.note"),
        ("made", "cel:object.metadata.annotations.transformList(k, v, v)"),
    ];
    for kind in ["Secret", "secret", "SECRET"] {
        let spec = json!({"targetGVK": {"version": "v1", "kind": kind}, "attributes": ways.map(|(name, path)| json!({"name": name, "path": path}))});
        let fields =
            Extractor::of_profile(&KollectProfile::new("p", serde_json::from_value(spec).unwrap()), &[]).unwrap();
        let shown = row(&fields, kind, &object);
        assert!(!shown.contains("cGw0bnRlZA") && !shown.contains("planted"), "{shown}");
        assert!(shown.contains("github.com") && shown.matches("\"kept\"").count() == 4, "{shown}");
    }
}

#[test]
fn an_object_with_the_kind_of_a_secret_is_one_whatever_the_kind_of_the_profile() {
    let fields = extractor(
        "ConfigMap",
        &[("data", "$.data"), ("text", "$.stringData"), ("all", "$"), ("has", "cel:has(object.data)")],
        &copy(),
    );
    for kind in ["Secret", "secret"] {
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "n"}, "data": {"a": "cGw0bnRlZA=="}, "stringData": {"b": "pl4nted"}});
        let shown = row(&fields, "ConfigMap", &object);
        assert!(
            !shown.contains("cGw0bnRlZA") && !shown.contains("pl4nted") && shown.contains("\"has\":false"),
            "{shown}"
        );
    }
}

#[test]
fn the_names_that_a_profile_adds_are_hidden_before_an_expression_sees_them() {
    let spec = json!({
        "targetGVK": {"version": "v1", "kind": "X"},
        "attributes": [
            {"name": "joined", "path": "cel:object.spec.env.map(e, e.name + '=' + e.value)"},
            {"name": "direct", "path": "$.spec.cardPin"}, {"name": "values", "path": "$.spec.env[*].value"},
            {"name": "made", "path": "cel:'x' + object.spec.cardPin"},
        ],
        "export": {"mode": "Resource", "include": "All", "prune": {"scrubKeys": ["PIN"]}},
    });
    let fields =
        Extractor::of_profile(&KollectProfile::new("p", serde_json::from_value(spec).unwrap()), &["seed".to_owned()])
            .unwrap();
    let object = json!({"spec": {"cardPin": "pl4nted", "env": [{"name": "OTP_SEED", "value": "pl4nted"}, {"name": "A", "value": "kept"}]}});
    let shown = row(&fields, "X", &object);
    assert!(!shown.contains("pl4nted") && shown.contains("A=kept"), "{shown}");
}
