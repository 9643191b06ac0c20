//! Tables of templates and the paths they render.

use super::*;
use crate::layout::segments::{Limits, part_path};
use kollect_model::{Gvk, TargetKey, Uid};
use std::sync::Arc;

fn facts<'a>(cluster: &'a str, extension: &'a str, filename: FilenameOptions) -> PathFacts<'a> {
    PathFacts { cluster, namespace: "shop", name: "daily", generation: 4, extension, filename }
}

fn row(kind: Gvk, namespace: &str, name: &str) -> (RowId, ObjectKey) {
    let id = RowId { target: Arc::new(TargetKey::namespaced("shop", "workloads")), uid: Uid::parse("0d1f-02") };
    (id, ObjectKey { gvk: Arc::new(kind), namespace: namespace.into(), name: name.into() })
}

fn render(template: &str, facts: &PathFacts<'_>, (id, object): &(RowId, ObjectKey)) -> Result<String, PathError> {
    PathTemplate::parse(template, Grammar::Row).unwrap().render_row(facts, id, object)
}

#[test]
fn rows_render_to_the_paths_of_the_contract() {
    let deployment = row(Gvk::new("apps", "v1", "Deployment"), "shop", "cart");
    let cluster_role = row(Gvk::new("rbac.authorization.k8s.io", "v1", "ClusterRole"), "", "system:node-proxier");
    let config_map = |name: &str| row(Gvk::new("", "v1", "ConfigMap"), "shop", name);
    let long = "n".repeat(70);
    let plain = FilenameOptions::default();
    let grouped = "{cluster}/{group}/{kind}/{sourceNamespace}_{sourceName}{extension}";
    let by_group = "{cluster}/{group}/{kind}/{sourceName}{extension}";
    let short = FilenameOptions { max_segment_length: 20, ..plain };
    let raw_kind = FilenameOptions { group_in_path: GroupInPath::Never, lowercase_kind: false, ..plain };
    let cases = [
        (DEFAULT_ROW_TEMPLATE, facts("", ".yaml", plain), &deployment, "default/shop/deployment/cart.yaml".to_owned()),
        (
            DEFAULT_ROW_TEMPLATE,
            facts("", ".yaml", plain),
            &cluster_role,
            "default/clusterrole/system-node-proxier-77e6b4f5.yaml".into(),
        ),
        (
            DEFAULT_ROW_TEMPLATE,
            facts("", ".yaml", plain),
            &config_map(&long),
            format!("default/shop/configmap/{}-85069ddf.yaml", &long[..54]),
        ),
        (
            DEFAULT_ROW_TEMPLATE,
            facts("", ".yaml", plain),
            &config_map("..edge..case."),
            "default/shop/configmap/edge-case-3f795503.yaml".into(),
        ),
        (
            grouped,
            facts("eu/west:1", ".yaml", plain),
            &deployment,
            "eu-west-1-82516052/apps/deployment/shop_cart.yaml".into(),
        ),
        (
            by_group,
            facts("", ".yaml", short),
            &config_map(&long),
            format!("default/configmap/{}-85069ddf.yaml", &long[..11]),
        ),
        (
            by_group,
            facts("", ".yaml", raw_kind),
            &cluster_role,
            "default/ClusterRole/system-node-proxier-77e6b4f5.yaml".into(),
        ),
        (
            "v{generation}/{targetName}/{uid}{extension}",
            facts("", ".json", plain),
            &deployment,
            "v4/workloads/0d1f-02.json".into(),
        ),
        ("{targetNamespace}/{x1}/{uid}", facts("", ".json", plain), &deployment, "shop/{x1}/0d1f-02".into()),
    ];
    for (template, facts, row, wanted) in cases {
        assert_eq!(render(template, &facts, row).unwrap(), wanted, "{template}");
    }
}

#[test]
fn documents_render_to_the_paths_of_the_contract() {
    let plain = FilenameOptions::default();
    let cases = [
        (
            "clusters/{cluster}/{namespace}/{name}{extension}",
            facts("eu", ".yaml", plain),
            "clusters/eu/shop/daily.yaml",
        ),
        (DEFAULT_OBJECT_TEMPLATE, facts("", ".json", plain), "inventory/shop/daily.json"),
        (DEFAULT_DOCUMENT_TEMPLATE, facts("", ".ndjson", plain), "inventory/shop/daily.ndjson"),
        ("{cluster}/{namespace}/{name}", facts("../../etc", ".json", plain), "etc-74ccf3c5/shop/daily"),
        ("{Cluster}/{namespace}/{name}", facts("eu", ".json", plain), "{Cluster}/shop/daily"),
    ];
    for (template, facts, wanted) in cases {
        assert_eq!(PathTemplate::parse(template, Grammar::Document).unwrap().render_document(&facts).unwrap(), wanted);
    }
}

#[test]
fn a_long_inventory_name_is_not_cut_in_a_document_path() {
    let name = "n".repeat(200);
    let facts = PathFacts { name: &name, ..facts("", ".json", FilenameOptions::default()) };
    let path =
        PathTemplate::parse(DEFAULT_OBJECT_TEMPLATE, Grammar::Document).unwrap().render_document(&facts).unwrap();
    assert_eq!(path, format!("inventory/shop/{name}.json"));
}

#[test]
fn bad_templates_are_refused() {
    use Grammar::{Document, Row};
    let no_identity =
        |result: Result<PathTemplate, TemplateError>| matches!(result, Err(TemplateError::NoIdentity { .. }));
    let unknown =
        |result: Result<PathTemplate, TemplateError>| matches!(result, Err(TemplateError::UnknownPlaceholder { .. }));
    assert_eq!(PathTemplate::parse("/a/{namespace}/{name}", Document), Err(TemplateError::Absolute));
    assert_eq!(PathTemplate::parse("a/../{namespace}/{name}", Document), Err(TemplateError::Parent));
    assert_eq!(PathTemplate::parse("", Row), Err(TemplateError::Empty));
    assert_eq!(PathTemplate::parse("{uid}\n", Row), Err(TemplateError::Control));
    assert!(unknown(PathTemplate::parse("{namespace}/{name}/{kind}", Document)));
    assert!(unknown(PathTemplate::parse("{uid}/{Cluster}", Row)));
    assert!(no_identity(PathTemplate::parse("{namespace}/x", Document)));
    assert!(no_identity(PathTemplate::parse("{name}/x", Document)));
    assert!(no_identity(PathTemplate::parse("{kind}/x", Row)));
}

#[test]
fn reserved_and_empty_paths_are_refused() {
    let facts = facts("", "", FilenameOptions::default());
    let git = row(Gvk::new("", "v1", "ConfigMap"), "", "git");
    assert_eq!(render(".Git/{uid}", &facts, &git), Err(PathError::Reserved));
    assert_eq!(render(".{sourceName}", &facts, &git), Err(PathError::Reserved));
    assert_eq!(render(".kollect/{uid}", &facts, &git), Err(PathError::Reserved));
    assert_eq!(render("./{uid}", &facts, &git), Err(PathError::Dots));
    let nothing = row(Gvk::new("", "v1", "ConfigMap"), "", "");
    assert_eq!(render("{sourceName}", &facts, &nothing), Err(PathError::Empty));
}

fn of_rows(longest: usize) -> Limits {
    Limits { longest, one_case: true }
}

#[test]
fn an_ordinary_value_stays_as_it_is() {
    let longest = "n".repeat(63);
    for value in
        ["cart", "kube-root-ca.crt", "a_b", "backup-28391234", "0", "web.v1", "console", "com", "com10", &longest]
    {
        assert_eq!(sanitise(value, of_rows(63)), value);
    }
    assert_eq!(sanitise("EU-West", Limits::WHOLE), "EU-West", "a binding has one cluster");
    assert_eq!(sanitise("", of_rows(63)), "", "an empty segment vanishes");
}

#[test]
fn an_altered_value_ends_in_the_hash_of_the_full_value() {
    let long = "n".repeat(70);
    let cases = [
        (" a//\\::b ", "a-b"),
        ("-.a.-", "a"),
        ("..", "x"),
        ("system:node", "system-node"),
        ("View", "View"),
        ("aux", "aux"),
        ("Con.txt", "Con-txt"),
        ("nul.a.b", "nul-a-b"),
        ("com1", "com1"),
        ("/nul.t", "nul-t"),
        ("lpt9.x", "lpt9-x"),
        ("git~1", "git-1"),
        ("a*b?", "a-b"),
        ("é", "é"),
        (&long, &long[..54]),
    ];
    for (value, stem) in cases {
        let hash = kollect_model::Digest::of(value.as_bytes()).to_string();
        assert_eq!(sanitise(value, of_rows(63)), format!("{stem}-{}", &hash[..8]));
    }
    assert!(sanitise("ääää", of_rows(12)).starts_with("ä-"), "cut at a character");
    assert!(sanitise("abcdef", of_rows(5)).starts_with("x-"), "the hash is never cut");
}

#[test]
fn different_values_have_different_segments_without_regard_to_case_and_after_cutting() {
    let long = |end: &str| format!("{}{end}", "a".repeat(100));
    let (first, second) = (long("1"), long("2"));
    let values = [
        &*first, &*second, "a:b", "a-b", "a/b", "a-b-", "view", "View", "VIEW", "OK", "ok", "aux", "AUX", "..", ".",
        "-", "a..b", "é", "e\u{301}", "É", " a-b", "a-b.",
    ];
    let paths: std::collections::BTreeSet<_> =
        values.iter().map(|value| sanitise(value, of_rows(63)).to_lowercase()).collect();
    assert_eq!(paths.len(), values.len(), "{paths:?}");
}

#[test]
fn the_part_marker_is_put_before_the_extension() {
    assert_eq!(part_path("inventory/shop/daily.json", 2, 3), "inventory/shop/daily.part-0002-of-0003.json");
    assert_eq!(part_path("inventory/cluster/all.json", 2, 3), "inventory/cluster/all.part-0002-of-0003.json");
    assert_eq!(part_path("snap", 2, 3), "snap.part-0002-of-0003");
    assert_eq!(part_path("a.b/snap", 2, 3), "a.b/snap.part-0002-of-0003");
}
