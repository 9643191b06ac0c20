//! Rows in a directory: the layouts of Git, only differences, nothing of others.

use super::{CommandFolder, profile, target, tree};
use serde_json::json;
use std::fs;

#[test]
fn a_document_per_target_is_written_once_and_again_only_when_it_changed() {
    let folder = CommandFolder::with_maps();
    folder.maps(&[("shop", "one", "1"), ("pay", "two", "2")]);
    let args = ["--from", "manifests", "--output", "out"];
    folder.run(&args).ends(0).reports("done team/maps to out: 1 change written");
    let first = folder.read("out/inventory/team/maps.yaml");
    assert!(first.starts_with("- attributes:\n    v: \"2\"\n  kind: ConfigMap\n  name: two\n"), "{first}");
    assert!(folder.path("out/.kollect/default/team/maps/local").is_file());
    folder.run(&args).ends(0).reports("done team/maps to out: unchanged");
    folder.maps(&[("shop", "one", "changed")]);
    let dry = folder.run(&["--from", "manifests", "--output", "out", "--dry-run"]).ends(0);
    dry.reports("0 added, 1 changed, 0 removed").reports("~ inventory/team/maps.yaml");
    assert_eq!(folder.read("out/inventory/team/maps.yaml"), first, "a dry run writes nothing");
    folder.run(&args).ends(0);
    assert!(folder.read("out/inventory/team/maps.yaml").contains("v: changed"));
}

#[test]
fn a_file_per_row_comes_and_goes_with_its_object() {
    let folder = CommandFolder::with_maps();
    folder.maps(&[("shop", "one", "1"), ("pay", "two", "2")]);
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
        || tree(&folder.path("out")).into_keys().filter(|path| !path.starts_with(".kollect")).collect::<Vec<_>>();
    folder.run(&args).ends(0);
    assert_eq!(files(), ["east/pay/configmap/two.json", "east/shop/configmap/one.json"]);
    folder.maps(&[("shop", "one", "1")]);
    folder.run(&[&args[..], &["--dry-run"]].concat()).ends(0).reports("- east/pay/configmap/two.json");
    folder.run(&args).ends(0);
    assert_eq!(files(), ["east/shop/configmap/one.json"]);
    assert!(!folder.path("out/east/pay").exists());
}

#[test]
fn a_split_tree_of_manifests_can_be_applied_and_its_index_names_it() {
    let folder = CommandFolder::new();
    let mut copies = profile("maps", "", "ConfigMap", &[]);
    copies["spec"]["export"] = json!({"mode": "Resource", "include": "All"});
    folder.config("c", &[copies, target("maps", "maps", &[])]);
    folder.maps(&[("shop", "one", "1"), ("pay", "two", "2")]);
    let args = ["--from", "manifests", "--output", "out", "--layout", "split", "--content", "manifest"];
    folder.run(&args).ends(0).reports("3 changes written");
    let wanted = "apiVersion: v1\ndata:\n  v: \"1\"\nkind: ConfigMap\nmetadata:\n  name: one\n  namespace: shop\n";
    assert_eq!(folder.read("out/default/shop/configmap/one.yaml"), wanted);
    let index = folder.read("out/inventory/team/maps.yaml");
    let paths = "paths:\n- default/pay/configmap/two.yaml\n- default/shop/configmap/one.yaml\n";
    assert!(index.contains("itemCount: 2\n") && index.contains(paths), "{index}");
    folder.run(&args).ends(0).reports("unchanged");
    folder.maps(&[("shop", "one", "1")]);
    folder.run(&args).ends(0).reports("2 changes written");
    // Manifests are a source again.
    let again = ["--from", "out/default", "--format", "csv"];
    folder.run(&again).ends(0);

    folder.config("c", &[profile("maps", "", "ConfigMap", &[("v", "$.data.v")]), target("maps", "maps", &[])]);
    folder.run(&args).ends(1).reports("ConfigMap shop/one").reports("needs a profile with export.mode: Resource");
    assert_eq!(folder.read("out/default/shop/configmap/one.yaml"), wanted, "the last good state stays");
}

#[test]
fn a_file_of_another_owner_is_not_overwritten() {
    let folder = CommandFolder::with_maps();
    folder.maps(&[("shop", "one", "1")]);
    folder.write("out/inventory/team/maps.yaml", "mine\n");
    folder.run(&["--from", "manifests", "--output", "out"]).ends(2).reports("is owned by something other than Kollect");
    assert_eq!(folder.read("out/inventory/team/maps.yaml"), "mine\n");
}

#[test]
fn an_inventory_exports_the_targets_that_it_selects_as_one() {
    let folder = CommandFolder::new();
    let inventory = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectInventory",
        "metadata": {"name": "daily", "namespace": "team"}, "spec": {"targetRefs": ["one", "two"]},
    });
    let maps = profile("maps", "", "ConfigMap", &[("v", "$.data.v")]);
    folder.config(
        "c",
        &[
            maps,
            target("one", "maps", &["shop"]),
            target("two", "maps", &["pay"]),
            target("left", "maps", &[]),
            inventory,
        ],
    );
    folder.maps(&[("shop", "one", "1"), ("pay", "two", "2")]);
    let ran =
        folder.run(&["--from", "manifests", "--output", "out", "--path-template", "x/{namespace}-{name}{extension}"]);
    ran.ends(0).reports("no KollectInventory exports target team/left");
    let files: Vec<_> = tree(&folder.path("out")).into_keys().collect();
    assert_eq!(files, [".kollect/default/team/daily/local", "x/team-daily.yaml"]);
    let text = folder.read("out/x/team-daily.yaml");
    assert!(text.contains("targetName: one") && text.contains("targetName: two"), "{text}");
}

#[test]
fn a_skipped_target_keeps_its_last_good_file() {
    let folder = CommandFolder::with_maps();
    folder.config("more", &[target("kept", "maps", &["shop"])]);
    folder.maps(&[("shop", "one", "1")]);
    let args = ["--from", "manifests", "--output", "out"];
    folder.run(&args).ends(0);
    let before = folder.read("out/inventory/team/kept.yaml");
    let scope = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectScope", "metadata": {"name": "s", "namespace": "team"},
        "spec": {"deniedNamespaces": ["shop"]},
    });
    folder.config("scope", &[scope]);
    folder.maps(&[("pay", "two", "2")]);
    folder.run(&args).ends(1).reports("skipped team/kept: ScopeNamespaceDenied");
    assert_eq!(folder.read("out/inventory/team/kept.yaml"), before);
    assert!(folder.read("out/inventory/team/maps.yaml").contains("name: two"));
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
