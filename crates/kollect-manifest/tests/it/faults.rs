//! Parts that cannot be read are faults with place and remedy, and do not hide the rest.

use super::{json, read, yaml};
use kollect_manifest::ManifestFormat;

const A: &str = r#"{"kind":"A","metadata":{"name":"a"}}"#;
const B: &str = r#"{"kind":"B","metadata":{"name":"b"}}"#;

#[test]
fn faults_of_yaml_are_located_and_name_the_remedy() {
    for (text, line, expected) in [
        ("a: 1\nb: [1, 2\nc: 3\n", 0, "bracket"),
        ("a: 'x\nb: 1\n", 0, "quote"),
        ("a: 1\na: 2\n", 2, "the key \"a\" is repeated"),
        ("a: {b: 1, c: {d: 1, d: 2}}\n", 1, "the key \"d\" is repeated"),
        ("a:\n\t- 1\n", 2, "use spaces"),
        ("a: 1\n  b: 2\n", 2, "check indentation"),
        ("a: .inf\n", 1, "quote the value"),
        ("a: *x\n", 1, "has no anchor"),
        ("a: &x [*x]\n", 1, "inside the value that it names"),
        ("a: !!int x\n", 1, "!!int"),
        ("a: !!binary '%'\n", 1, "!!binary"),
        ("? [a]\n: 1\n", 1, "a key of a map"),
        ("~: 1\n", 1, "a key of a map"),
        ("a: 1\n<<: 5\n", 0, "merge key"),
        ("a: \"\\q\"\n", 1, "escape"),
        ("a: \0\n", 1, "control character"),
        ("a: 1\n1: x\n'1': y\n", 3, "is repeated"),
        ("kind: A\n{{- if .Values.on }}\nb: 1\n{{- end }}\n", 2, "helm template"),
        ("kind: {{ .Values.kind }}\n", 1, "helm template"),
    ] {
        // The fault is in the second document of three.
        let found = yaml(&format!("{A}\n---\n{text}---\n{B}\n"));
        assert_eq!(found.names(), ["A a", "B b"], "{text}");
        let [fault] = found.faults.as_slice() else { panic!("{text}: {:?}", found.faults) };
        assert!(fault.contains(expected), "{text}: {fault}");
        assert!(line == 0 || fault.starts_with(&format!("line {}, column ", line + 2)), "{text}: {fault}");
    }
}

#[test]
fn faults_of_json_are_located_and_spoil_only_their_line() {
    let broken = "{\"kind\": \"X\", \"password\": \"hunter2\", oops}";
    for format in [ManifestFormat::Json, ManifestFormat::JsonLines] {
        let found = read(format!("{A}\n{broken}\n{B}\n"), format);
        assert_eq!(found.names(), ["A a", "B b"]);
        assert_eq!(found.faults.len(), 1);
        assert!(found.faults[0].starts_with("line 2, column 38: "), "{:?}", found.faults);
        assert!(!found.faults[0].contains("hunter2"));
    }
    let unclosed = read(format!("{A}\n{{\"a\":\n{B}\n{{\"b\"\n{A}"), ManifestFormat::JsonLines);
    assert_eq!((unclosed.names(), unclosed.faults.len()), (["A a", "B b", "A a"].map(str::to_owned).to_vec(), 2));
    let pretty = json(&format!("{A}\n{{\n  \"a\": 1,\n}}\n{B}"));
    assert_eq!(pretty.names(), ["A a"], "the end of such a value is unknown");
    assert!(pretty.faults[0].starts_with("line 3, column 9: this is not JSON: a comma"), "{:?}", pretty.faults);
    let cut = json(&format!("{A}\n[{B},\n{{\"x\": "));
    assert!(cut.faults[0].contains("cut off"), "{:?}", cut.faults);
    let twice = json(&format!("{A}\n{{\"spec\":1,\"spec\":2}}\n{B}"));
    assert_eq!((twice.names().len(), twice.faults.len()), (2, 1));
}

#[test]
fn no_fault_has_the_words_of_a_library() {
    let texts = [
        "a: [",
        "a: ]",
        "a: }",
        "- a\nb",
        "a: b: c",
        "%FOO\n%YAML 9\n---\na",
        "a: 'b' c",
        "&a &b c",
        "*",
        "&",
        "!<x a",
        "@a",
        "`a",
        "a: |x\n b",
        "a: >9\n b",
        "\"\\u12\"",
        "a\n...\nb: [",
        "? a : b : c",
        "[a: b: c]",
        "{a, b: }",
        "- - - -\n -",
        "a: 1\n b: 1\n",
        "{\"a\" 1}",
        "!!!x a",
        "%TAG\n---\na",
        "\u{feff}a: \u{feff}b",
        "a: \u{85}[",
        "- \tb: 1\n  c: 1",
        "\u{7}",
    ];
    for text in texts {
        for found in [yaml(text), json(text), read(text, ManifestFormat::Unknown)] {
            for fault in found.faults {
                for word in
                    ["while", "EOF", "parsing", "scanning", "did not find", "recursion", "budget", "token", "serde"]
                {
                    assert!(!fault.contains(word), "{text:?}: {fault}");
                }
            }
        }
    }
}
