//! Hostile releases; the paths and the well-formed ones are cases of `tests/cases`.

use super::*;
use crate::error::{ErrorClass, EvalError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write as _;

fn packed(parts: &[(&str, usize)]) -> Value {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for (text, times) in parts {
        let block = text.repeat(1024);
        (0..times / 1024).for_each(|_| encoder.write_all(block.as_bytes()).unwrap());
        (0..times % 1024).for_each(|_| encoder.write_all(text.as_bytes()).unwrap());
    }
    json!({"data": {"release": STANDARD.encode(STANDARD.encode(encoder.finish().unwrap()))}})
}

fn decode(paths: &[&str], secret: &Value) -> Result<Option<Value>, EvalError> {
    crate::budget::reset();
    let mut fields = HelmFields::default();
    for path in paths {
        fields.insert(&HelmPath::parse(&format!("helm:release.{path}"), true, true).unwrap());
    }
    secret.get("data").map_or(Ok(None), |data| decode_release(data, &fields))
}

#[test]
fn wrapped_base64_and_several_gzip_members_are_read_as_helm_reads_them() {
    let member = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let wrapped = |bytes: &[u8], line: usize, end: &str| {
        let text = STANDARD.encode(bytes);
        let lines: Vec<&str> = text.as_bytes().chunks(line).map(|part| std::str::from_utf8(part).unwrap()).collect();
        lines.join(end) + end
    };
    let long = "v".repeat(5 << 20);
    let members: Vec<u8> =
        [member(r#"{"name":"#), member(r#""shop","manifest":""#), member(&long), member(r#"","version":3}"#)].concat();
    for (line, end) in [(76, "\n"), (64, "\r\n"), (1 << 30, "\n"), (1 << 30, "")] {
        for outer in [1 << 30, 76] {
            let text = wrapped(wrapped(&members, line, end).as_bytes(), outer, end);
            let secret = json!({"data": {"release": text}});
            let found = decode(&["name", "version"], &secret).unwrap();
            assert_eq!(found, Some(json!({"name": "shop", "version": 3})), "lines of {line}");
        }
    }
    let mut broken = members.clone();
    broken.extend_from_slice(b"garbage");
    let secret = json!({"data": {"release": STANDARD.encode(STANDARD.encode(broken))}});
    assert_eq!(decode(&["name"], &secret).unwrap_err().class, ErrorClass::Function);
}

#[test]
fn a_release_that_unpacks_to_too_much_is_an_error() {
    let large = packed(&[(r#"{"manifest":""#, 1), ("x", 33 << 20), (r#"","name":"n"}"#, 1)]);
    let error = decode(&["name"], &large).unwrap_err();
    assert_eq!((error.class, error.message.contains("32 MiB")), (ErrorClass::Limit, true), "{error:?}");
    let spaces = packed(&[(r#"{"name":"n"}"#, 1), (" ", 40 << 20)]);
    assert_eq!(decode(&["name"], &spaces).unwrap_err().class, ErrorClass::Limit);
    let fits = packed(&[(r#"{"manifest":""#, 1), ("x", 31 << 20), (r#"","name":"n"}"#, 1)]);
    assert_eq!(decode(&["name"], &fits).unwrap(), Some(json!({"name": "n"})));
}

#[test]
fn a_release_that_was_cut_or_changed_is_an_error_of_any_size() {
    for filling in [10, 3 << 20] {
        let secret = packed(&[(r#"{"manifest":""#, 1), ("x", filling), (r#"","name":"n"}"#, 1)]);
        assert_eq!(decode(&["name"], &secret).unwrap(), Some(json!({"name": "n"})));
        let text = secret["data"]["release"].as_str().unwrap();
        let bytes = STANDARD.decode(STANDARD.decode(text).unwrap()).unwrap();
        let again = |bytes: &[u8]| json!({"data": {"release": STANDARD.encode(STANDARD.encode(bytes))}});
        let mut wrong_sum = bytes.clone();
        let at = wrong_sum.len() - 6;
        wrong_sum[at] ^= 1;
        for broken in [again(&wrong_sum), again(&bytes[..bytes.len() - 1]), again(&bytes[..bytes.len() / 2])] {
            assert_eq!(decode(&["name"], &broken).unwrap_err().class, ErrorClass::Function, "{filling}");
        }
    }
}

#[test]
fn no_more_than_a_little_is_kept() {
    for value in ["[],", "{\"a\":{}},", "null,", "\"text\",", "1,"] {
        let many = packed(&[(r#"{"name":["#, 1), (value, 200_000), ("0]}", 1)]);
        let error = decode(&["name"], &many).unwrap_err();
        assert_eq!((error.class, error.message.contains("1 MiB")), (ErrorClass::Limit, true), "{value} {error:?}");
        assert_eq!(decode(&["version"], &many).unwrap(), Some(json!({})), "what is skipped does not count");
    }
}

#[test]
fn deep_releases_do_not_overflow() {
    let deep = packed(&[(r#"{"name":"#, 1), ("[", 200_000), ("]", 200_000), ("}", 1)]);
    let run = move || {
        assert_eq!(decode(&["name"], &deep).unwrap_err().class, ErrorClass::Function);
        assert_eq!(decode(&["version"], &deep).unwrap(), Some(json!({})));
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn errors_repeat_nothing_of_the_release() {
    for text in ["hunter2", "{\"hunter2\":hunter2}", "\"hunter2\"", "{\"name\":\"hunter2"] {
        let error = decode(&["name"], &packed(&[(text, 1)])).unwrap_err();
        assert!(!error.message.contains("hunter2"), "{error:?}");
    }
}

#[test]
fn what_is_refused_below_the_chart_is_never_built() {
    let release =
        json!({"chart": {"metadata": {"templates": "kept"}, "templates": [1], "values": {}, "files": [], "raw": []}});
    let release = packed(&[(&release.to_string(), 1)]);
    let kept = json!({"chart": {"metadata": {"templates": "kept"}}});
    assert_eq!(decode(&["chart"], &release).unwrap(), Some(kept.clone()));
    assert_eq!(decode(&["chart.metadata", "name"], &release).unwrap(), Some(kept));
}
