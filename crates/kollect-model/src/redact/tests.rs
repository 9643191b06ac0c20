//! The texts of the corpus of redaction, and what a hostile text costs.

use super::*;
use serde_json::Value;

fn corpus() -> impl Iterator<Item = Value> {
    include_str!("../../../kollect-extract/tests/redaction.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
}

#[test]
fn texts_of_the_corpus_lose_their_secrets_and_nothing_else() {
    let mut wrong = Vec::new();
    for case in corpus() {
        let Some(given) = case["spec"]["text"].as_str() else { continue };
        let clean = text(given).unwrap_or(Cow::Owned(given.to_owned()));
        let secrets = case["secrets"].as_array();
        let right = match secrets {
            None => clean == given,
            Some(secrets) => {
                let kept =
                    case["kept"].as_array().into_iter().flatten().all(|kept| clean.contains(kept.as_str().unwrap()));
                kept && !secrets.iter().any(|secret| clean.contains(secret.as_str().unwrap()))
            }
        };
        if !right || text(&clean).is_some() {
            wrong.push(format!("{}\n  {given:?}\n  {clean:?}", case["case"]));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn maps_that_are_read_in_part_may_end_within_any_character() {
    for character in ["ü", "€", "🔑"] {
        for shift in 0..character.len() {
            let value = format!("{}{}", "x".repeat(shift), character.repeat(1000));
            for given in [
                format!("{{\"password a\":{{\"a\":\"{value}\"}},\"b\":1}}"),
                format!("password: {{a: {value}}}\nb: 1\n"),
                format!("password:\n  a: {value}\n  {value}: c\nb: 1\n"),
                format!("name: password\nvalue: [{value}]\n"),
            ] {
                let clean = text(&given).unwrap_or_default();
                assert!(!clean.contains(character) && clean.contains("***"), "{shift} {character}: {clean}");
            }
        }
    }
}

/// Each is repeated to a megabyte. A quadratic reader would take minutes.
const HOSTILE: &[&str] = &[
    "//a:b",
    "//",
    "@tcp(",
    "(",
    "://",
    "password",
    "password=",
    "password:",
    "password: {",
    "\"secret\":{",
    "{\"auth\":{",
    "[[{\"value\":",
    "value: '",
    "value: \\\"",
    "name: password\nvalue: {",
    "secret:\n",
    "secret:\n ",
    "- secret:\n   name: x\n",
    "\"password\": \"\\\\\\",
    "--password ",
    "password '",
    "identified  by \"",
    "secret \"",
    "password: !a &b |\n",
    "--password\n- ",
    "-----BEGIN PRIVATE KEY",
    "-----BEGIN ",
    "Bearer ",
    "eyJ.",
    "$2a$",
    "curl -u :",
    "<password>",
    "\\\\\\\\\"",
    "a=;a=,",
    "password= ;, &",
    "ü: ",
    "\"\\u0061\",",
    "sshpass -p",
];

#[test]
fn a_hostile_text_of_a_megabyte_is_read_in_one_go() {
    for part in HOSTILE {
        for start in ["", "{\"a\":\"", "[", "password: |\n "] {
            let long = format!("{start}{}", part.repeat((1 << 20) / part.len()));
            let began = std::time::Instant::now();
            let clean = text(&long);
            let took = began.elapsed();
            assert!(took < std::time::Duration::from_secs(20), "{took:?} for {start:?} and {part:?}");
            assert!(clean.is_none_or(|clean| clean.len() <= 2 * long.len()), "{part:?} grows");
        }
    }
}

#[test]
fn texts_in_texts_in_texts_are_bounded() {
    let mut nested = "password=hunter2".to_owned();
    for _ in 0..12 {
        nested = serde_json::to_string(&[nested]).unwrap();
    }
    let clean = text(&nested).unwrap();
    assert!(!clean.contains("hunter2"), "{clean}");
}
