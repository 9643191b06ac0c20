//! What is redacted and what is kept, field by field.

use super::*;
use serde_json::json;

/// The value of the attribute `name` in a row.
fn scrubbed(name: &str, value: &Value) -> Value {
    let keys = ScrubKeys::new(["pin", " OTP-Seed ", "x1"]);
    let value = keys.redact(&crate::decode::redact_value(value)).into_owned();
    let mut out = Vec::new();
    write_attribute(name, &value, &keys, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn gone() -> Value {
    json!({"reason": "sensitive-key", "redacted": true})
}

#[test]
fn sensitive_keys_are_replaced_at_any_depth() {
    let cases = [
        (json!({"dbPassword": "x", "host": "h"}), json!({"dbPassword": gone(), "host": "h"})),
        (json!({"auth": {"user": "u"}}), json!({"auth": gone()})),
        (json!([{"token": "t"}, {"n": 1}]), json!([{"token": gone()}, {"n": 1}])),
        (json!({"tls": {"key": "k", "crt": "c"}}), json!({"tls": gone()})),
        (json!({"TOKEN ": ["t"]}), json!({"TOKEN ": gone()})),
        (
            json!({"cardPin": "1", "my-otp-seed": "2", "ax1": "3"}),
            json!({"cardPin": gone(), "my-otp-seed": gone(), "ax1": "3"}),
        ),
        (json!({"x1": "3"}), json!({"x1": gone()})),
    ];
    for (before, after) in cases {
        // "x1" has two letters, so it must match exactly; the rest matches as a suffix.
        assert_eq!(scrubbed("v", &before), after, "{before}");
    }
}

#[test]
fn references_counters_and_switches_are_kept() {
    let kept = json!({
        "usedToken": 3, "basicAuth": false, "password": null, "automountServiceAccountToken": true,
        "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}, "secretRef": {"name": "s"}, "secret": {"secretName": "s"},
        "tls": [{"hosts": ["h"]}],
    });
    assert_eq!(scrubbed("v", &kept), kept);
}

#[test]
fn the_name_of_an_attribute_counts_like_a_key() {
    assert_eq!(scrubbed("password", &json!("x")), gone());
    assert_eq!(scrubbed("apiToken", &json!(["x"])), gone());
    assert_eq!(scrubbed("secretName", &json!("x")), json!("x"));
    assert_eq!(scrubbed("secrets", &json!(["a", "b"])), json!(["a", "b"]), "a list of the names of Secrets");
    let mut out = Vec::new();
    write_attribute_list("tokenCount", &[&json!("a")], &ScrubKeys::default(), &mut out).unwrap();
    assert_eq!(out, br#"["a"]"#);
}

#[test]
fn values_of_pairs_are_replaced_in_any_order_of_their_members() {
    let pair = r#"[{"value":"x","name":"DB_PASSWORD"},{"name":"PORT","value":"1"}]"#;
    let mut deserializer = serde_json::from_str::<Value>(pair).unwrap();
    assert_eq!(
        scrubbed("env", &deserializer.take()),
        json!([{"name": "DB_PASSWORD", "value": gone()}, {"name": "PORT", "value": "1"}])
    );
    assert_eq!(
        scrubbed(
            "v",
            &json!({"key": "api_token", "z": 1, "value": {"any": "x"}, "more": [{"key": "a", "value": "x"}]})
        ),
        json!({"key": "api_token", "z": 1, "value": gone(), "more": [{"key": "a", "value": "x"}]})
    );
}

#[test]
fn the_replacement_is_canonical() {
    let mut expected = Vec::new();
    write_value(&gone(), &mut expected).unwrap();
    assert_eq!(expected, REPLACEMENT);
}
