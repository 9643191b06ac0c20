//! Values of sensitive keys that are no secrets: switches, variables, names.

use super::edits::REDACTED;
use super::key::{Sensitivity, sensitivity};
use super::words::Words;

const SWITCHES: &[&str] = &[
    "true", "false", "yes", "no", "on", "off", "none", "null", "nil", "~", "enabled", "disabled", "enable", "disable",
    "expired", "invalid", "missing", "required", "revoked", "rejected", "unset",
];
/// How one can log in: values of `auth: …`, not credentials.
const METHODS: &[&str] = &[
    "basic",
    "digest",
    "oidc",
    "oauth",
    "oauth2",
    "jwt",
    "ldap",
    "tls",
    "mtls",
    "iam",
    "saml",
    "kerberos",
    "token",
    "password",
    "key",
    "ssh",
    "github",
    "google",
    "gitlab",
    "azure",
    "aws",
    "gcp",
    "kubernetes",
    "trust",
    "md5",
    "scram-sha-256",
    "rbac",
    "node",
    "abac",
    "webhook",
    "alwaysallow",
    "alwaysdeny",
    "node,rbac",
    "bearer",
    "x509",
    "anonymous",
    "internal",
    "external",
    "proxy",
    "forward",
    "header",
    "cookie",
    "local",
];
/// Words of keys whose numbers are settings: `MAX_TOKENS`, `PASSWORD_MIN_LENGTH`.
const MEASURES: &[&str] = &[
    "max", "min", "num", "number", "count", "limit", "size", "length", "maximum", "minimum", "total", "used", "per",
    "retry", "retrie", "replica", "window", "budget", "rate",
];
/// What a map that only refers to something has.
const REFERENCE_KEYS: &[&str] = &[
    "name",
    "key",
    "namespace",
    "secretName",
    "optional",
    "path",
    "audience",
    "expirationSeconds",
    "kind",
    "apiVersion",
    "group",
    "apiGroup",
    "uid",
    "resourceVersion",
    "fieldPath",
    "defaultMode",
    "mode",
    "items",
    "property",
    "version",
    "metadataPolicy",
    "decodingStrategy",
    "conversionStrategy",
    "secretKeyRef",
    "configMapKeyRef",
    "fieldRef",
    "secretRef",
    "valueFrom",
    "existingSecret",
    "create",
    "enabled",
    "ttl",
    "secret",
    "configMap",
    "secretKeyName",
    "dataKey",
    "type",
    "region",
    "method",
    "mountPath",
    "clientID",
    "clientId",
    "existingSecretKey",
    "existingSecretPasswordKey",
    "annotations",
    "labels",
    "remoteRef",
    "provider",
    "immutable",
];
/// What a schema in a CustomResourceDefinition has.
const SCHEMA_KEYS: &[&str] = &[
    "type",
    "description",
    "properties",
    "items",
    "format",
    "default",
    "enum",
    "required",
    "nullable",
    "maxLength",
    "minLength",
    "pattern",
    "additionalProperties",
    "anyOf",
    "allOf",
    "oneOf",
    "not",
    "title",
    "example",
    "examples",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "externalDocs",
    "uniqueItems",
    "$ref",
    "maxProperties",
    "minProperties",
    "readOnly",
    "writeOnly",
    "multipleOf",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "deprecated",
];
/// Longest name of an object or a key.
const MAX_NAME: usize = 253;
/// Longest number or duration.
const MAX_NUMBER: usize = 16;

/// Whether the text under `key` is harmless although the key is sensitive.
pub fn has_harmless_form(key: &str, found: Sensitivity, value: &str) -> bool {
    let value = without_scheme(value.trim());
    value.is_empty()
        || value == REDACTED
        || SWITCHES.iter().any(|word| value.eq_ignore_ascii_case(word))
        || is_variable(value)
        || is_path(value)
        || is_pointer(value)
        || (is_number(value) && Words::of(key).iter().any(|word| MEASURES.contains(&word)))
        || match found {
            Sensitivity::Secret => false,
            Sensitivity::Scheme => METHODS.iter().any(|word| value.eq_ignore_ascii_case(word)) || is_plain_url(value),
            Sensitivity::Name => is_name_for(key, value),
        }
}

/// What follows `Bearer` and its like.
fn without_scheme(value: &str) -> &str {
    let scheme = ["bearer ", "basic ", "token "]
        .iter()
        .find(|scheme| value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    scheme.map_or(value, |scheme| value[scheme.len()..].trim_start())
}

/// The names of Secrets are DNS names; the names of their keys describe their content.
fn is_name_for(key: &str, value: &str) -> bool {
    if !is_reference_value(value) {
        return false;
    }
    let words = Words::of(key);
    let names_key = words.get(words.len().saturating_sub(1)) == "key" && !words.has("existing");
    if names_key { sensitivity(value).is_some() } else { !value.bytes().any(|c| c.is_ascii_uppercase()) }
}

/// Whether a map with this key can still be a reference.
pub fn is_reference_key(key: &str) -> bool {
    REFERENCE_KEYS.contains(&key) || key.ends_with("Ref") || key.ends_with("Refs")
}

/// Whether a map with this key can still be a schema.
pub fn is_schema_key(key: &str) -> bool {
    SCHEMA_KEYS.contains(&key) || key.starts_with("x-kubernetes-")
}

/// Whether a text in a reference can be a name or a path.
pub fn is_reference_value(value: &str) -> bool {
    value.len() <= MAX_NAME
        && value
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b'/' | b':' | b'@' | b'#'))
}

/// `$(NAME)`, `${NAME}`, `$NAME`, `{{ … }}`, `<name>`
fn is_variable(value: &str) -> bool {
    let inner = |open: &str, close: &str| value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= 128
            && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-' | b' '))
    };
    inner("$(", ")").or_else(|| inner("${", "}")).or_else(|| inner("<", ">")).is_some_and(is_name)
        || inner("{{", "}}").is_some_and(|inner| !inner.contains(['"', '\'', '`', '{', '}']))
        || value
            .strip_prefix('$')
            .is_some_and(|name| name.bytes().all(|c| c.is_ascii_uppercase() || c == b'_') && !name.is_empty())
}

/// A path as people write them. Base64 that begins with a slash has capitals, `+` or `=`.
fn is_path(value: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'/' | b'.' | b'-' | b'_');
    value.starts_with('/') && value.bytes().filter(|c| *c == b'/').count() > 1 && value.bytes().all(plain)
}

/// Where a secret is kept, as tools that fetch it write that.
fn is_pointer(value: &str) -> bool {
    let known = ["vault:", "arn:aws:secretsmanager:", "arn:aws:ssm:", "ref+", "op://", "gcp:secretmanager:"];
    known.iter().any(|start| value.starts_with(start)) && !value.contains(char::is_whitespace)
        || (value.starts_with("projects/") && value.contains("/secrets/"))
}

/// An address that can hold no credentials.
fn is_plain_url(value: &str) -> bool {
    (value.starts_with("https://") || value.starts_with("http://"))
        && !value.bytes().any(|c| c.is_ascii_whitespace() || matches!(c, b'@' | b'?' | b'=' | b'#' | b'$'))
}

/// A number, perhaps with a unit.
fn is_number(value: &str) -> bool {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    value.len() <= MAX_NUMBER
        && value.len() - digits.len() <= 2
        && !digits.is_empty()
        && digits.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_variables_and_names_are_no_secrets() {
        let cases = [
            ("password", "", true),
            ("ENABLE_TOKEN", "True", true),
            ("DB_PASSWORD", "$(DB_PASSWORD)", true),
            ("DB_PASSWORD", "{{ .Values.password }}", true),
            ("DB_PASSWORD", "{{ \"hunter2\" }}", false),
            ("token", "/var/run/secrets/token", true),
            ("token", "/9j4AAQSkZJRg/abc==", false),
            ("password", "12345678", false),
            ("MAX_TOKENS", "4096", true),
            ("auth", "basic", true),
            ("auth", "dTpw", false),
            ("imagePullSecret", "regcred", true),
            ("imagePullSecret", "Reg Cred", false),
            ("passwordKey", "admin-password", true),
            ("passwordKey", "hunter2", false),
            ("existingSecretPasswordKey", "postgres", true),
            ("token", "vault:secret/data/a#b", true),
            ("password", "$ecret", false),
        ];
        for (key, value, harmless) in cases {
            assert_eq!(has_harmless_form(key, sensitivity(key).unwrap(), value), harmless, "{key}={value}");
        }
    }
}
