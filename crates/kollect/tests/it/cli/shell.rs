//! Completion, manual pages, help, and the name of the program.

use super::{Ran, kollect, program, write};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

const KUBECONFIG: &str = "apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {}}]
contexts:
- {name: prod-east, context: {cluster: c, user: u}}
- {name: prod-west, context: {cluster: c, user: u}}
- {name: stage, context: {cluster: c, user: u}}
";

#[test]
fn every_shell_gets_a_script() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = kollect(dir.path(), &["completion", shell]);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{shell}");
        assert!(ran.stdout.contains("KOLLECT_COMPLETE") && ran.stdout.contains("kollect"), "{shell}: {}", ran.stdout);
    }
    assert_eq!(kollect(dir.path(), &["completion", "tcsh"]).status, 2);
}

/// What Bash offers for the last word.
fn offered(dir: &std::path::Path, words: &[&str]) -> Vec<String> {
    let index = (words.len() - 1).to_string();
    let output = program(dir)
        .args(["--"].iter().chain(words))
        .env("KUBECONFIG", dir.join("config"))
        .env("KOLLECT_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", index)
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "true")
        .env("_CLAP_IFS", "\n")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn contexts_complete_from_the_kubeconfig_also_after_a_comma() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "config", KUBECONFIG);
    for command in ["validate", "eval", "init"] {
        let found = offered(dir.path(), &["kollect", command, "--context", "prod"]);
        assert_eq!(found, ["prod-east", "prod-west"], "{command}");
    }
    let found = offered(dir.path(), &["kollect", "init", "--context", "stage,prod-w"]);
    assert_eq!(found, ["stage,prod-west"]);
    assert_eq!(offered(dir.path(), &["kollect", "validate", "--format", "j"]), ["json"]);
    assert_eq!(offered(dir.path(), &["kollect", "compl"]), ["completion"]);
    std::fs::remove_file(dir.path().join("config")).unwrap();
    assert_eq!(offered(dir.path(), &["kollect", "init", "--context", ""]), [""; 0]);
}

#[test]
fn the_bash_script_loads_and_completes() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "config", KUBECONFIG);
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_kollect"));
    let script = "source <(kollect completion bash) || exit 1
        COMP_WORDS=(kollect eval --context st); COMP_CWORD=3; COMP_TYPE=9
        _clap_complete_kollect kollect st --context
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let output = Command::new("bash")
        .args(["--norc", "-c", script])
        .env_clear()
        .env("PATH", path)
        .env("HOME", dir.path())
        .env("KUBECONFIG", dir.path().join("config"))
        .output()
        .expect("bash starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "stage", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_command_has_a_manual_page_and_an_example() {
    let dir = tempfile::tempdir().unwrap();
    let ran = kollect(dir.path(), &["man", "--dir", "man"]);
    assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    let help = kollect(dir.path(), &["--help"]).stdout;
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 8, "{help}");
    for command in commands {
        let page = std::fs::read_to_string(dir.path().join(format!("man/kollect-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
        let ran = kollect(dir.path(), &[command, "--help"]);
        assert!(ran.stdout.contains("Example:\n  "), "{command}: {}", ran.stdout);
    }
    let ran = kollect(dir.path(), &["man"]);
    assert!(ran.stdout.contains(".TH kollect 1"), "{}", ran.stdout);
}

#[test]
fn a_plugin_of_kubectl_shows_the_name_that_was_typed() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, arguments: &[&str]| -> Ran {
        program(dir.path()).arg0(name).args(arguments).output().unwrap().into()
    };
    let ran = run("/usr/local/bin/kubectl-kollect", &["diff", "--help"]);
    assert!(ran.stdout.contains("Usage: kubectl kollect diff"), "{}", ran.stdout);
    let ran = run("kubectl-kollect", &["nope"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("Usage: kubectl kollect"), "{}", ran.stderr);
    assert!(run("kollect", &["diff", "--help"]).stdout.contains("Usage: kollect diff"));
}

#[test]
fn init_without_a_terminal_names_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let ran = kollect(dir.path(), &["init"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("--kind Deployment"), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
