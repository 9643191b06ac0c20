//! Rows in a directory: the layouts of Git, only differences, nothing of others.

use super::{Place, profile, target, tree};
use serde_json::json;
use std::fs;

#[test]
fn a_document_per_target_is_written_once_and_again_only_when_it_changed() {
    let place = Place::with_maps();
    place.maps(&[("shop", "one", "1"), ("pay", "two", "2")]);
    let args = ["--from", "manifests", "--output", "out"];
    place.run(&args).ends(0).says("done team/maps to out: 1 change written");
    let first = place.read("out/inventory/team/maps.yaml");
    assert!(first.starts_with("- attributes:\n    v: \"2\"\n  kind: ConfigMap\n  name: two\n"), "{first}");
    assert!(place.path("out/.kollect/default/team/maps/local").is_file());
    place.run(&args).ends(0).says("done team/maps to out: unchanged");
    place.maps(&[("shop", "one", "changed")]);
    let dry = place.run(&["--from", "manifests", "--output", "out", "--dry-run"]).ends(0);
    dry.says("0 added, 1 changed, 0 removed").says("~ inventory/team/maps.yaml");
    assert_eq!(place.read("out/inventory/team/maps.yaml"), first, "a dry run writes nothing");
    place.run(&args).ends(0);
    assert!(place.read("out/inventory/team/maps.yaml").contains("v: changed"));
}

#[test]
fn a_file_per_row_comes_and_goes_with_its_object() {
    let place = Place::with_maps();
    place.maps(&[("shop", "one", "1"), ("pay", "two", "2")]);
    let args = [
        "--from",
        "manifests",
        "--output",
        "out",
        "--layout",
        "perResource",
        "--file-format",
        "json",
        "--cluster",
        "east",
    ];
    let files =
        || tree(&place.path("out")).into_keys().filter(|path| !path.starts_with(".kollect")).collect::<Vec<_>>();
    place.run(&args).ends(0);
    assert_eq!(files(), ["east/pay/configmap/two.json", "east/shop/configmap/one.json"]);
    place.maps(&[("shop", "one", "1")]);
    place.run(&[&args[..], &["--dry-run"]].concat()).ends(0).says("- east/pay/configmap/two.json");
    place.run(&args).ends(0);
    assert_eq!(files(), ["east/shop/configmap/one.json"]);
    assert!(!place.path("out/east/pay").exists());
}

#[test]
fn a_split_tree_of_manifests_can_be_applied_and_its_index_names_it() {
    let place = Place::new();
    let mut copies = profile("maps", "", "ConfigMap", &[]);
    copies["spec"]["export"] = json!({"mode": "Resource", "include": "All"});
    place.config("c", &[copies, target("maps", "maps", &[])]);
    place.maps(&[("shop", "one", "1"), ("pay", "two", "2")]);
    let args = ["--from", "manifests", "--output", "out", "--layout", "split", "--content", "manifest"];
    place.run(&args).ends(0).says("3 changes written");
    let wanted = "apiVersion: v1\ndata:\n  v: \"1\"\nkind: ConfigMap\nmetadata:\n  name: one\n  namespace: shop\n";
    assert_eq!(place.read("out/default/shop/configmap/one.yaml"), wanted);
    let index = place.read("out/inventory/team/maps.yaml");
    let paths = "paths:\n- default/pay/configmap/two.yaml\n- default/shop/configmap/one.yaml\n";
    assert!(index.contains("itemCount: 2\n") && index.contains(paths), "{index}");
    place.run(&args).ends(0).says("unchanged");
    place.maps(&[("shop", "one", "1")]);
    place.run(&args).ends(0).says("2 changes written");
    // Manifests are a source again.
    let again = ["--from", "out/default", "--format", "csv"];
    place.run(&again).ends(0);

    place.config("c", &[profile("maps", "", "ConfigMap", &[("v", "$.data.v")]), target("maps", "maps", &[])]);
    place.run(&args).ends(1).says("ConfigMap shop/one").says("needs a profile with export.mode: Resource");
    assert_eq!(place.read("out/default/shop/configmap/one.yaml"), wanted, "the last good state stays");
}

#[test]
fn a_file_of_somebody_else_is_not_overwritten() {
    let place = Place::with_maps();
    place.maps(&[("shop", "one", "1")]);
    place.write("out/inventory/team/maps.yaml", "mine\n");
    place.run(&["--from", "manifests", "--output", "out"]).ends(2).says("is owned by something other than Kollect");
    assert_eq!(place.read("out/inventory/team/maps.yaml"), "mine\n");
}

#[test]
fn an_inventory_exports_the_targets_that_it_selects_as_one() {
    let place = Place::new();
    let inventory = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectInventory",
        "metadata": {"name": "daily", "namespace": "team"}, "spec": {"targetRefs": ["one", "two"]},
    });
    let maps = profile("maps", "", "ConfigMap", &[("v", "$.data.v")]);
    place.config(
        "c",
        &[
            maps,
            target("one", "maps", &["shop"]),
            target("two", "maps", &["pay"]),
            target("left", "maps", &[]),
            inventory,
        ],
    );
    place.maps(&[("shop", "one", "1"), ("pay", "two", "2")]);
    let ran =
        place.run(&["--from", "manifests", "--output", "out", "--path-template", "x/{namespace}-{name}{extension}"]);
    ran.ends(0).says("no KollectInventory exports target team/left");
    let files: Vec<_> = tree(&place.path("out")).into_keys().collect();
    assert_eq!(files, [".kollect/default/team/daily/local", "x/team-daily.yaml"]);
    let text = place.read("out/x/team-daily.yaml");
    assert!(text.contains("targetName: one") && text.contains("targetName: two"), "{text}");
}

#[test]
fn a_skipped_target_keeps_its_last_good_file() {
    let place = Place::with_maps();
    place.config("more", &[target("kept", "maps", &["shop"])]);
    place.maps(&[("shop", "one", "1")]);
    let args = ["--from", "manifests", "--output", "out"];
    place.run(&args).ends(0);
    let before = place.read("out/inventory/team/kept.yaml");
    let scope = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectScope", "metadata": {"name": "s", "namespace": "team"},
        "spec": {"deniedNamespaces": ["shop"]},
    });
    place.config("scope", &[scope]);
    place.maps(&[("pay", "two", "2")]);
    place.run(&args).ends(1).says("skipped team/kept: ScopeNamespaceDenied");
    assert_eq!(place.read("out/inventory/team/kept.yaml"), before);
    assert!(place.read("out/inventory/team/maps.yaml").contains("name: two"));
}

#[test]
fn the_examples_work_without_a_cluster() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kollect"))
        .args([
            "collect",
            "--config",
            &format!("{examples}/collect"),
            "--from",
            &format!("{examples}/manifests"),
            "--format",
            "table",
        ])
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("platform/workloads (Deployment, 111 rows)"), "{out}");
    assert!(out.contains("platform/settings (ConfigMap, 111 rows)"), "{out}");
    assert!(fs::read_dir(format!("{examples}/manifests")).unwrap().count() > 5);
}
