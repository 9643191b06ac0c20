//! Names and texts that try to control a terminal, in every command that shows them.

use super::{Ran, kollect, kollect_reading, program, write};
use std::path::Path;

/// Colours, a clipboard, a title, the other direction, the eight-bit control sequence, a carriage return.
const HOSTILE: &str = "x\u{1b}[31m\u{1b}]52;c;eA==\u{7}\u{1b}]0;t\u{7}\u{202e}\u{9b}2J\ry";

/// In JSON and in double-quoted YAML, with escapes.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap();
    json.chars().map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) }).collect()
}

#[track_caller]
fn is_clean(what: &str, ran: &Ran) {
    for (stream, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
        // Lines of CSV end in both.
        let text = text.replace("\r\n", "\n");
        let hostile = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
        assert_eq!(text.chars().find(hostile), None, "{what}, {stream}: {text:?}");
    }
}

fn profile(name: &str, attribute: &str, path: &str) -> String {
    format!(
        "apiVersion: kollect.dev/v1alpha1\nkind: KollectProfile\nmetadata: {{name: {}, namespace: team}}\nspec:\n  targetGVK: \
         {{version: v1, kind: ConfigMap}}\n  attributes: [{{name: {}, path: {}}}]\n",
        quoted(name),
        quoted(attribute),
        quoted(path)
    )
}

const TARGET: &str = "---\napiVersion: kollect.dev/v1alpha1\nkind: KollectTarget\nmetadata: {name: maps, namespace: team}\n\
                      spec: {profileRef: maps}\n";

fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "config/c.yaml", &format!("{}{TARGET}", profile("maps", "v", "$.data.v")));
    dir
}

fn object(name: &str, value: &str) -> String {
    let (name, value) = (quoted(name), quoted(value));
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":{name},"namespace":"shop"}},"data":{{"v":{value}}}}}"#
    )
}

#[test]
fn collect_shows_no_control_characters() {
    let dir = place();
    let run = |arguments: &[&str]| kollect(dir.path(), &[&["collect", "--config", "config"][..], arguments].concat());
    write(dir.path(), "in.json", &object(HOSTILE, HOSTILE));
    for arguments in [
        &["--from", "in.json", "-o", "table"][..],
        &["--from", "in.json", "-o", "csv"],
        &["--from", "in.json", "-o", "out"],
        &["--from", "in.json", "-o", "out2", "--layout", "perResource", "--dry-run", "-v"],
        &["--from", "in.json", "-o", "out3", "--layout", "perResource", "--path-template", "{name}\u{1b}[31m"],
        &["--from", &format!("no{HOSTILE}.json")],
        &["--from", "in.json", "-o", &format!("in.json/{HOSTILE}")],
        &["--from", "in.json", "--cluster", HOSTILE, "-o", "out4"],
        &["--from", "in.json", "--namespace", HOSTILE],
        &[HOSTILE],
        &[&format!("--{HOSTILE}")],
        &["--format", HOSTILE],
        &["--timeout", HOSTILE],
        &["--context", HOSTILE, "--kubeconfig", HOSTILE],
    ] {
        is_clean(&format!("{arguments:?}"), &run(arguments));
    }
    // What fails on an object is named with the object.
    write(dir.path(), "config/c.yaml", &format!("{}{TARGET}", profile("maps", "v", "cel:int(object.data.v)")));
    let ran = run(&["--from", "in.json", "-o", "table"]);
    assert!(ran.stderr.contains("failed target team/maps"), "{}", ran.stderr);
    is_clean("a failure", &ran);
    write(dir.path(), &format!("config/{HOSTILE}.yaml"), "a: [\n");
    is_clean("a broken configuration", &run(&["--from", "in.json"]));
}

#[test]
fn validate_shows_no_control_characters() {
    let dir = tempfile::tempdir().unwrap();
    let check = |name: &str, text: &str, flags: &[&str]| {
        write(dir.path(), name, text);
        let ran = kollect(dir.path(), &[&["validate", name, "--partial"][..], flags].concat());
        is_clean(name, &ran);
        ran
    };
    let named = check("named.yaml", &profile(HOSTILE, "v", "data.v"), &[]);
    assert!(named.stderr.contains("= note: in KollectProfile team/x\\u{1b}[31m"), "{}", named.stderr);
    check("attribute.yaml", &profile("maps", HOSTILE, HOSTILE), &[]);
    check(&format!("{HOSTILE}.yaml"), "a: [\n", &[]);
    check(
        "other.yaml",
        &format!("apiVersion: v1\nkind: {}\nmetadata: {{name: {}}}\n", quoted(HOSTILE), quoted(HOSTILE)),
        &["--verbose"],
    );
    is_clean("a file that is not there", &kollect(dir.path(), &["validate", &format!("no{HOSTILE}")]));
}

#[test]
fn colours_of_ours_do_not_let_colours_of_others_through() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "named.yaml", &profile(HOSTILE, "v", "data.v"));
    let ran = kollect(dir.path(), &["validate", "named.yaml", "--color", "always"]);
    assert!(ran.stderr.contains("\u{1b}["), "{:?}", ran.stderr);
    assert!(ran.stderr.contains("x\\u{1b}[31m\\u{1b}]52;c;"), "{:?}", ran.stderr);
    let dir = place();
    write(dir.path(), "in.json", &object(HOSTILE, HOSTILE));
    let table = kollect(
        dir.path(),
        &["collect", "--config", "config", "--from", "in.json", "-o", "table", "--color", "always"],
    );
    assert!(table.stdout.contains("\u{1b}[1m") && !table.stdout.contains("x\u{1b}"), "{:?}", table.stdout);
}

#[test]
fn eval_and_diff_show_no_control_characters() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "object.json", &object(HOSTILE, HOSTILE));
    write(dir.path(), "profile.yaml", &profile("maps", HOSTILE, "$.data.v"));
    write(dir.path(), "broken.yaml", &profile("maps", HOSTILE, HOSTILE));
    for arguments in [
        &["eval", "--profile", "profile.yaml", "--object", "object.json"][..],
        &["eval", "--profile", "broken.yaml", "--object", "object.json"],
        &["eval", "--path", HOSTILE, "--object", "object.json"],
        &["eval", "--path", "cel:int(object.data.v)", "--object", "object.json"],
        &["eval", "--profile", "profile.yaml", "--profile-name", HOSTILE],
        &["eval", "--path", "$.a", "--object", HOSTILE],
    ] {
        is_clean(&format!("{arguments:?}"), &kollect(dir.path(), arguments));
    }
    let row = |value: &str| {
        let (hostile, value) = (quoted(HOSTILE), quoted(value));
        format!(
            r#"{{"targetNamespace":"t","targetName":{hostile},"namespace":{hostile},"name":{hostile},"version":"v1","kind":{hostile},"uid":"u","attributes":{{{hostile}:{value}}}}}"#
        )
    };
    write(dir.path(), "a/a.ndjson", &row(HOSTILE));
    write(dir.path(), "b/b.ndjson", &row("other\u{1b}[2J"));
    write(dir.path(), &format!("b/{HOSTILE}.json"), "{");
    for (a, b) in [("a", "b"), ("a", "a/none"), ("b", HOSTILE), ("git:\u{1b}[31m", "a")] {
        is_clean(&format!("diff {a} {b:?}"), &kollect(dir.path(), &["diff", a, b]));
    }
}

#[test]
fn arguments_that_are_no_text_are_refused_and_end_in_no_panic() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let dir = place();
    for arguments in [&[b"\xff".as_slice()][..], &[b"collect", b"--config", b"\xff"], &[b"validate", b"\xffx"]] {
        let mut command = program(dir.path());
        command.args(arguments.iter().map(|bytes| OsStr::from_bytes(bytes)));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
    }
}

#[test]
fn nothing_is_written_as_control_characters_by_hostile_standard_input() {
    let dir = place();
    let ran = kollect_reading(dir.path(), &["collect", "--config", "config", "--from", "-"], "\u{1b}[2J\u{202e}");
    is_clean("standard input", &ran);
    assert!(Path::new(dir.path()).exists());
}
