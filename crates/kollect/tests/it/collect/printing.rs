//! What is printed: tables for people, lists for spreadsheets, rows and records for programs.

use super::{CommandFolder, map, profile, rows, target, tree};
use serde_json::{Value, json};
use std::process::Command;

fn golden() -> CommandFolder {
    let folder = CommandFolder::new();
    let attributes = [("labels", "$.metadata.labels"), ("v", "$.data.v")];
    folder.config("c", &[profile("maps", "", "ConfigMap", &attributes), target("maps", "maps", &[])]);
    let mut one = map("shop", "one", "a, \"b\"\nc\u{1b}[31m");
    one["metadata"]["labels"] = json!({"app": "cart"});
    folder.write("in.ndjson", &format!("{one}\n{}\n", map("pay", "two", "2")));
    folder
}

#[test]
fn tables_are_for_people() {
    let out = golden().run(&["--from", "in.ndjson", "--format", "table"]).ends(0).out;
    let wanted = "team/maps (ConfigMap, 2 rows)\n\
                  NAMESPACE  NAME  LABELS          V\n\
                  pay        two   -               2\n\
                  shop       one   {\"app\":\"cart\"}  a, \"b\"\\nc\\u{1b}[31m\n";
    assert_eq!(out, wanted);
}

#[test]
fn lists_of_plain_values_are_shown_with_commas() {
    let folder = CommandFolder::new();
    let attributes = [("v", "cel:[object.data.v, 'x', '1']"), ("w", "cel:[[object.data.v]]"), ("x", "cel:[]")];
    folder.config("c", &[profile("maps", "", "ConfigMap", &attributes), target("maps", "maps", &[])]);
    folder.maps(&[("shop", "one", "a")]);
    let out = folder.run(&["--from", "manifests", "--format", "table"]).ends(0).out;
    assert_eq!(out.lines().last(), Some("shop       one   a, x, 1  [[\"a\"]]  []"), "{out}");
}

#[test]
fn records_are_for_programs() {
    let folder = golden();
    let steady = |text: &str| {
        let (before, rest) = text.split_once("exportedAt").unwrap();
        format!("{before}…{}", &rest[rest.find("items").unwrap()..])
    };
    let line = folder.run(&["--from", "in.ndjson", "--format", "ndjson"]).ends(0).out;
    assert_eq!(line.lines().count(), 1);
    let wanted = "{\"context\":\"\",\"targetNamespace\":\"team\",\"targetName\":\"maps\",\"path\":\"inventory/team/maps.yaml\",\
                  \"envelope\":{\"schemaVersion\":\"kollect.dev/v1alpha1\",\"checksum\":\"";
    assert!(line.starts_with(wanted), "{line}");
    assert!(steady(&line).contains(
        "\"itemCount\":2,\"…items\":[{\"targetNamespace\":\"team\",\"targetName\":\"maps\",\"namespace\":\"pay\","
    ));
    let array: serde_json::Value =
        serde_json::from_str(&folder.run(&["--from", "in.ndjson", "--format", "json"]).ends(0).out).unwrap();
    let record: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(array[0]["envelope"]["items"], record["envelope"]["items"]);
    let yaml = folder.run(&["--from", "in.ndjson", "--format", "yaml"]).ends(0).out;
    assert!(yaml.starts_with("---\ncontext: \"\"\n") || yaml.starts_with("---\ncontext: ''\n"), "{yaml}");
    assert!(yaml.contains("\ntargetName: maps\n") && yaml.contains("\nenvelope:\n"), "{yaml}");
}

/// Runs the command on a terminal; the answer is what is seen there.
fn on_a_terminal(folder: &CommandFolder, args: &str, columns: &str) -> String {
    let line = format!("'{}' collect --config config {args}", env!("CARGO_BIN_EXE_kollect"));
    let seen = crate::terminal::on_a_terminal(&folder.path(""), &line, &[("COLUMNS", columns)], "");
    assert_eq!(seen.status, 0, "{}", seen.text);
    seen.text
}

#[test]
fn without_a_sink_a_terminal_gets_a_table_and_a_pipe_one_row_per_line() {
    let folder = golden();
    let seen = on_a_terminal(&folder, "--from in.ndjson", "200");
    assert!(seen.contains("\u{1b}[1mNAMESPACE  NAME  LABELS          V\u{1b}[0m\npay        two"), "{seen:?}");
    let seen = on_a_terminal(&folder, "--from in.ndjson --color never", "30");
    assert!(seen.contains("\nNAMESPA…  NAME  LABELS    V\n"), "{seen:?}");
    assert!(seen.lines().all(|line| !line.starts_with("shop") || line.chars().count() <= 40), "{seen:?}");
    assert!(on_a_terminal(&folder, "--from in.ndjson", "1").contains("NAME"));

    let ran = folder.run(&["--from", "in.ndjson"]).ends(0).reports("manifests: 2 rows of 1 target");
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let row = json!({"targetNamespace": "team", "targetName": "maps", "namespace": "pay", "name": "two", "version": "v1",
        "kind": "ConfigMap", "uid": "uid-pay-two", "attributes": {"labels": null, "v": "2"}});
    assert_eq!((lines.len(), &lines[0]), (2, &row));
    assert_eq!(folder.run(&["--from", "in.ndjson", "-o", "jsonl"]).ends(0).out, ran.out);
    let named = folder.run(&["--from", "in.ndjson", "--cluster", "prod"]).ends(0).out;
    assert!(named.starts_with("{\"cluster\":\"prod\",\"targetNamespace\":\"team\","), "{named}");
    assert_eq!(tree(&folder.path("")).len(), 2, "nothing was written");
}

#[test]
fn colours_and_control_characters_stay_away_from_a_terminal_that_does_not_want_them() {
    let folder = golden();
    let line = format!("'{}' collect --config config --from in.ndjson", env!("CARGO_BIN_EXE_kollect"));
    let seen = crate::terminal::on_a_terminal(&folder.path(""), &line, &[("NO_COLOR", "1")], "");
    assert!(seen.text.contains("NAMESPACE") && !seen.text.contains('\u{1b}'), "{:?}", seen.text);
    folder.write("in.ndjson", &map("shop", "one", "\u{9b}31m\u{202e}x").to_string());
    for format in ["json", "jsonl", "ndjson", "yaml"] {
        let seen = on_a_terminal(&folder, &format!("--from in.ndjson -o {format} --color never"), "200");
        assert!(!seen.contains(['\u{9b}', '\u{202e}', '\u{1b}']), "{format}: {seen:?}");
        assert!(seen.contains("\\u202ex"), "{format}: {seen:?}");
    }
    let piped = folder.run(&["--from", "in.ndjson", "-o", "jsonl"]).ends(0).out;
    assert!(piped.contains('\u{202e}'), "a program gets every byte: {piped:?}");
}

#[test]
fn an_inventory_that_names_no_sink_is_printed_too() {
    let folder = golden();
    let meta = json!({"name": "all", "namespace": "team"});
    folder.config(
        "inventory",
        &[json!({"apiVersion": "kollect.dev/v1alpha1", "kind": "KollectInventory", "metadata": meta, "spec": {}})],
    );
    let ran = folder.run(&["--from", "in.ndjson"]).ends(0);
    assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
    let refers = json!({"apiVersion": "kollect.dev/v1alpha1", "kind": "KollectInventory", "metadata": meta,
        "spec": {"snapshotSinkRefs": ["git"]}});
    folder.config("inventory", &[refers]);
    folder
        .run(&["--from", "in.ndjson"])
        .ends(2)
        .reports("there is no KollectSnapshotSink \"git\" in the configuration");
}

#[test]
fn output_dash_keeps_the_records_of_the_reference() {
    let ran = golden().run(&["--from", "in.ndjson", "--output", "-"]).ends(0);
    assert_eq!(rows(&ran.records()[0]).len(), 2);
}

#[test]
fn a_format_after_o_is_a_format_unless_something_here_has_that_name() {
    let folder = golden();
    for format in ["json", "yaml", "csv", "table", "ndjson"] {
        let short = folder.run(&["--from", "in.ndjson", "-o", format]).ends(0).out;
        let long = folder.run(&["--from", "in.ndjson", "--format", format]).ends(0).out;
        let steady = |text: &str| text.lines().filter(|line| !line.contains("exportedAt")).count();
        assert_eq!(steady(&short), steady(&long), "{format}");
    }
    folder.run(&["--from", "in.ndjson", "-ojson"]).ends(0);
    folder.run(&["--from", "in.ndjson", "-o", "./json"]).ends(0);
    assert!(folder.path("json").is_dir());
    let ran = folder.run(&["--from", "in.ndjson", "-o", "json"]).ends(2);
    ran.reports("write --format json to print, or --output ./json to write there");
}

#[test]
fn quiet_shows_failures_alone_and_verbose_names_everything() {
    let folder = golden();
    let ran = folder.run(&["--from", "in.ndjson", "-q"]).ends(0);
    assert_eq!(ran.stderr, "");
    let strict = [("v", "cel:object.data.nothing")];
    folder.config("c", &[profile("maps", "", "ConfigMap", &strict), target("maps", "maps", &[])]);
    let many: Vec<String> = (0..30).map(|n| map("shop", &format!("m{n}"), "x").to_string()).collect();
    folder.write("in.ndjson", &many.join("\n"));
    let ran = folder.run(&["--from", "in.ndjson", "-q"]);
    assert!(ran.stderr.lines().count() == 21 && ran.stderr.contains("and 10 more; -v names all"), "{}", ran.stderr);
    let ran = folder.run(&["--from", "in.ndjson", "-v"]);
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with("  failed target")).count(), 30, "{}", ran.stderr);
}

#[test]
fn printed_rows_can_be_compared_with_or_without_the_name_of_a_cluster() {
    let folder = golden();
    let changed = map("shop", "one", "2");
    let compare = |flags: &[&str]| {
        for (file, object) in [("a", "in.ndjson"), ("b", "changed.json")] {
            let args = [&["--from", object, "-o", "jsonl"][..], flags].concat();
            folder.write(&format!("{file}/rows.jsonl"), &folder.run(&args).ends(0).out);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_kollect"));
        let output = command.args(["diff", "a", "b"]).current_dir(folder.path("")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    folder.write("changed.json", &changed.to_string());
    for (flags, cluster) in [(&[][..], ""), (&["--cluster", "prod"], "prod ")] {
        let shown = compare(flags);
        assert!(shown.starts_with(&format!("- {cluster}ConfigMap pay/two (target team/maps)\n")), "{shown}");
        assert!(shown.ends_with("0 added, 1 removed, 1 changed, 0 unchanged\n"), "{shown}");
    }
}

#[test]
fn an_empty_input_is_no_empty_cluster() {
    let folder = golden();
    folder.run(&["--from", "in.ndjson", "-o", "out"]).ends(0);
    let before = tree(&folder.path("out"));
    let ran = folder.run_with(&["--from", "-", "-o", "out"], &[], "").ends(2);
    ran.reports("there is not one byte to read: if a program should have written it, that one failed");
    assert_eq!(tree(&folder.path("out")), before);
    let list = r#"{"apiVersion":"v1","kind":"List","items":[]}"#;
    folder.run_with(&["--from", "-", "-o", "out"], &[], list).ends(0);
}

#[test]
fn a_run_without_rows_names_what_to_compare() {
    let folder = golden();
    let ran = folder.run(&["--from", "in.ndjson", "-n", "nowhere"]).ends(0);
    ran.reports("  note no object is one that a target collects: compare kinds, namespaces, labels and rules");
}

#[test]
fn the_configuration_may_be_one_file() {
    let folder = golden();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kollect"));
    command.args(["collect", "--config", "config/c.yaml", "--from", "in.ndjson"]).current_dir(folder.path(""));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
}

/// Cells of the row of an object, from CSV without line breaks in cells.
fn csv_cells(text: &str, name: &str) -> Vec<String> {
    let line = text.lines().find(|line| line.split(',').nth(4) == Some(name)).unwrap_or_else(|| panic!("{text}"));
    line.split(',').map(str::to_owned).collect()
}

#[test]
fn csv_is_for_spreadsheets_and_nothing_in_it_is_a_formula() {
    let folder = CommandFolder::new();
    let attributes = [("-n", "cel:-5"), ("v", "$.data.v")];
    folder.config("c", &[profile("maps", "", "ConfigMap", &attributes), target("maps", "maps", &[])]);
    let hostile =
        ["=cmd|' /C calc'!A0", "+1", "-rf", "@SUM(1)", "\t=1", "\u{1b}[31m", "\u{202e}x", "x\u{0}y", "＝1", " =1"];
    let maps: Vec<Value> = hostile.iter().enumerate().map(|(n, v)| map("shop", &format!("m{n}"), v)).collect();
    folder.write("in.ndjson", &maps.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"));
    let out = folder.run(&["--from", "in.ndjson", "--format", "csv"]).ends(0).out;
    assert!(out.starts_with("context,targetNamespace,targetName,namespace,name,kind,uid,'-n,v\r\n"), "{out}");
    let wanted = [
        "'=cmd|' /C calc'!A0",
        "'+1",
        "'-rf",
        "'@SUM(1)",
        "\"'\t'=1\"",
        "\\u{1b}[31m",
        "\\u{202e}x",
        "x\\u{0}y",
        "'＝1",
        "' =1",
    ];
    for (n, wanted) in wanted.iter().enumerate() {
        let cells = csv_cells(&out, &format!("m{n}"));
        assert_eq!((cells[7].as_str(), cells[8].as_str()), ("-5", *wanted));
    }
    let raw = folder.run(&["--from", "in.ndjson", "--format", "csv", "--csv-raw"]).ends(0).out;
    assert!(raw.starts_with("context,targetNamespace,targetName,namespace,name,kind,uid,-n,v\r\n"), "{raw}");
    for (n, value) in hostile.iter().enumerate().filter(|(_, value)| !value.contains('\t')) {
        assert_eq!(csv_cells(&raw, &format!("m{n}"))[8], *value);
    }
    let lines = folder.run(&["--from", "in.ndjson", "-o", "jsonl"]).ends(0).out;
    let values: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["attributes"]["v"].clone()).collect();
    assert_eq!(values, hostile, "JSON has escapes of its own");
}

#[test]
fn csv_quotes_what_has_separators() {
    let out = golden().run(&["--from", "in.ndjson", "--format", "csv"]).ends(0).out;
    let wanted = "context,targetNamespace,targetName,namespace,name,kind,uid,labels,v\r\n\
                  ,team,maps,pay,two,ConfigMap,uid-pay-two,,2\r\n\
                  ,team,maps,shop,one,ConfigMap,uid-shop-one,\"{\"\"app\"\":\"\"cart\"\"}\",\"a, \"\"b\"\"\nc\\u{1b}[31m\"\r\n";
    assert_eq!(out, wanted);
}
