//! Wrong arguments, missing files and unreachable clusters: the messages and the exit status.

use super::{kollect, kollect_reading, write};

const PROFILE: &str = "apiVersion: kollect.dev/v1alpha1\nkind: KollectProfile\nmetadata: {name: maps, namespace: team}\nspec:\n  \
                       targetGVK: {version: v1, kind: ConfigMap}\n  attributes: [{name: v, path: $.data.v}]\n";
const TARGET: &str = "---\napiVersion: kollect.dev/v1alpha1\nkind: KollectTarget\nmetadata: {name: maps, namespace: team}\n\
                      spec: {profileRef: maps}\n";

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "config.yaml", &format!("{PROFILE}{TARGET}"));
    write(dir.path(), "file", "text");
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    dir
}

/// Every mistake ends with 2, prints no data, and has these words on standard error.
#[test]
fn a_mistake_is_answered_with_what_was_tried_and_what_to_do() {
    let dir = folder();
    for (arguments, words) in [
        (&[][..], "Usage: kollect <COMMAND>"),
        (&["colect"], "similar subcommands exist: 'completion', 'collect'"),
        (&["collect"], "required arguments were not provided:\n  --config <PATH>"),
        (&["collect", "--config", "nowhere"], "--config: cannot read nowhere: No such file or directory\n"),
        (&["collect", "--config", "empty"], "empty has no KollectProfile; `kollect init` writes a first one"),
        (&["collect", "--config", "config.yaml"], "neither a kubeconfig nor an API server around this process: use"),
        (&["collect", "--config", "config.yaml", "--from", "empty"], "empty has no file that ends in .yaml"),
        (
            &["collect", "--config", "config.yaml", "--from", "nowhere"],
            "cannot read nowhere: No such file or directory\n",
        ),
        (&["collect", "--config", "config.yaml", "--kubeconfig", "nowhere"], "there is no file nowhere; name another"),
        (
            &["collect", "--config", "config.yaml", "--from", "config.yaml", "-o", "file"],
            "file is a file; name a directory",
        ),
        (&["collect", "--config", "config.yaml", "--from", "-", "--timeout", "5"], "\"5\" is not a duration"),
        (
            &["collect", "--config", "config.yaml", "--from", "-", "--format", "tabel"],
            "a similar value exists: 'table'",
        ),
        (&["validate"], "required arguments were not provided:\n  --config <PATH>"),
        (&["validate", "nowhere"], "reading nowhere: No such file or directory\n"),
        (&["validate", "empty"], "no *.yaml, *.yml or *.json file is in this directory"),
        (&["validate", "config.yaml", "-o", "yaml"], "possible values: text, json"),
        (&["validate", "config.yaml", "--cluster"], ".kube/config; name another with --kubeconfig or $KUBECONFIG"),
        (&["validate", "config.yaml", "--context", "x"], "--cluster"),
        (&["eval"], "--profile <FILE>|--path <PATH>"),
        (&["eval", "--profile", "config.yaml", "--object", "nowhere"], "reading nowhere: No such file or directory\n"),
        (&["eval", "--path", "$.a", "--name", "x", "--kind", "y"], ".kube/config; name another with --kubeconfig or"),
        (&["diff", "file"], "<B>"),
        (&["diff", "nowhere", "empty"], "reading nowhere: No such file or directory\n"),
        (&["diff", "-", "-"], "A and B cannot both be standard input"),
        (&["diff", "git:HEAD", "empty"], "--repo names another\n"),
        (&["init", "--kind", "Deployment", "--yes"], ".kube/config; name another with --kubeconfig or $KUBECONFIG"),
        (&["init", "--yes"], "--kind <KIND>"),
        (&["completion", "tcsh"], "possible values: bash, zsh, fish, powershell, elvish"),
        (&["crds", "--name", "pods"], "no kind has the plural name pods; there are kollectprofiles"),
        (&["man", "--dir", "file"], "writing manual pages to file: "),
    ] {
        let ran = kollect(dir.path(), arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{arguments:?} lacks {words:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("os error"), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn an_empty_standard_input_is_a_mistake() {
    let dir = folder();
    for arguments in [&["validate", "-"][..], &["eval", "--path", "$.a", "--object", "-"]] {
        let ran = kollect_reading(dir.path(), arguments, "\n");
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("standard input is empty"), "{}", ran.stderr);
    }
}

#[test]
fn a_wrong_context_is_answered_with_those_there_are() {
    let dir = folder();
    write(
        dir.path(),
        ".kube/config",
        "apiVersion: v1\nkind: Config\ncurrent-context: one\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
         users: [{name: u, user: {token: t}}]\ncontexts: [{name: one, context: {cluster: c, user: u}}]\n",
    );
    for arguments in [
        &["collect", "--config", "config.yaml", "--context", "two"][..],
        &["validate", "config.yaml", "--cluster", "--context", "two"],
        &["eval", "--path", "$.a", "--kind", "x", "--name", "x", "--context", "two"],
        &["init", "--kind", "Deployment", "--yes", "--context", "two"],
    ] {
        let ran = kollect(dir.path(), arguments);
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("the kubeconfig has no context \"two\"; it has one"), "{}", ran.stderr);
    }
}

#[test]
fn a_broken_kubeconfig_is_named_by_line_without_its_content() {
    let dir = folder();
    write(dir.path(), ".kube/config", "apiVersion: v1\nkind: Config\nusers:\n- name: u\n  user: {token: [hunter2}\n");
    for arguments in [
        &["collect", "--config", "config.yaml"][..],
        &["validate", "config.yaml", "--cluster"],
        &["init", "--kind", "Deployment", "--yes"],
    ] {
        let ran = kollect(dir.path(), arguments);
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("the kubeconfig cannot be used: line 5, column "), "{}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

#[test]
fn quiet_commands_leave_the_answer_to_the_exit_status() {
    let dir = folder();
    let row = |value: u8| {
        format!(
            r#"{{"targetNamespace":"t","targetName":"t","namespace":"n","name":"a","version":"v1","kind":"K","uid":"u","attributes":{{"v":{value}}}}}"#
        )
    };
    write(dir.path(), "a.ndjson", &row(1));
    write(dir.path(), "b.ndjson", &row(2));
    for (arguments, status) in [
        (&["diff", "a.ndjson", "b.ndjson", "-q"][..], 1),
        (&["diff", "a.ndjson", "a.ndjson", "--quiet"], 0),
        (&["validate", "config.yaml", "-q"], 0),
    ] {
        let ran = kollect(dir.path(), arguments);
        assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (status, "", ""), "{arguments:?}");
    }
    let ran = kollect(dir.path(), &["diff", "a.ndjson", "b.ndjson", "-o", "json"]);
    assert_eq!((ran.status, &ran.json()["summary"]["changed"]), (0, &1.into()));
}

#[test]
fn validate_reports_when_there_is_nothing_to_check_and_names_the_rest_with_verbose() {
    let dir = folder();
    write(dir.path(), "map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n");
    let ran = kollect(dir.path(), &["validate", "map.yaml", "-v"]);
    assert_eq!(ran.stdout, "nothing to check: 0 Kollect objects in 1 file (1 other object not checked)\n");
    assert_eq!((ran.status, ran.stderr.as_str()), (0, "not checked: ConfigMap one in map.yaml\n"));
}

#[test]
fn one_dash_before_a_long_flag_is_enough_and_short_flags_take_their_value_at_once() {
    let dir = folder();
    write(dir.path(), "map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {v: x}\n");
    for arguments in [
        &["collect", "-config", "config.yaml", "-from=map.yaml", "-format", "jsonl"][..],
        &["collect", "-c", "config.yaml", "-f", "map.yaml", "-ojsonl"],
        &["collect", "-cconfig.yaml", "-fmap.yaml", "-qojsonl"],
    ] {
        let ran = kollect(dir.path(), arguments);
        assert_eq!((ran.status, ran.stdout.lines().count()), (0, 1), "{arguments:?}: {}", ran.stderr);
    }
}
