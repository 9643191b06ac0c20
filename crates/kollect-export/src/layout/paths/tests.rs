//! Tables of templates and the paths they render.

use super::super::segments::part_path;
use super::*;
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
            "default/clusterrole/system-node-proxier.yaml".into(),
        ),
        (
            DEFAULT_ROW_TEMPLATE,
            facts("", ".yaml", plain),
            &config_map(&long),
            format!("default/shop/configmap/{}.yaml", &long[..63]),
        ),
        (
            DEFAULT_ROW_TEMPLATE,
            facts("", ".yaml", plain),
            &config_map("..edge..case."),
            "default/shop/configmap/edge-case.yaml".into(),
        ),
        (grouped, facts("eu/west:1", ".yaml", plain), &deployment, "eu-west-1/apps/deployment/shop_cart.yaml".into()),
        (by_group, facts("", ".yaml", short), &config_map(&long), format!("default/configmap/{}.yaml", &long[..20])),
        (by_group, facts("", ".yaml", raw_kind), &cluster_role, "default/ClusterRole/system-node-proxier.yaml".into()),
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
        ("{cluster}/{namespace}/{name}", facts("../../etc", ".json", plain), "etc/shop/daily"),
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
    let dots = row(Gvk::new("", "v1", "ConfigMap"), "", "..");
    assert_eq!(render(".Git/{uid}", &facts, &git), Err(PathError::Reserved));
    assert_eq!(render(".{sourceName}", &facts, &git), Err(PathError::Reserved));
    assert_eq!(render(".kollect/{uid}", &facts, &git), Err(PathError::Reserved));
    assert_eq!(render("./{uid}", &facts, &git), Err(PathError::Dots));
    assert_eq!(render("{sourceName}", &facts, &dots), Err(PathError::Empty));
}

#[test]
fn a_value_is_cut_at_a_character_and_stays_clean() {
    assert_eq!(sanitise("ääää", 5), "ää");
    assert_eq!(sanitise("abc-def", 4), "abc");
    assert_eq!(sanitise(" a//\\::b ", 63), "a-b");
    assert_eq!(sanitise("-.a.-", 63), "a");
}

#[test]
fn the_part_marker_stands_before_the_extension() {
    assert_eq!(part_path("inventory/shop/daily.json", 2, 3), "inventory/shop/daily.part-0002-of-0003.json");
    assert_eq!(part_path("inventory/cluster/all.json", 2, 3), "inventory/cluster/all.part-0002-of-0003.json");
    assert_eq!(part_path("snap", 2, 3), "snap.part-0002-of-0003");
    assert_eq!(part_path("a.b/snap", 2, 3), "a.b/snap.part-0002-of-0003");
}
