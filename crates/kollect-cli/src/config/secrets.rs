//! Secrets of the directory, with values from the environment. Values go into `SecretData` only, whose `Debug` omits them.

use super::error::{ConfigError, DocumentOrigin};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kollect_resources::secret_data::SecretData;
use serde_json::Value;
use std::collections::BTreeMap;

/// Reads `data`, overlaid by `stringData`. A value that is exactly `${env:NAME}` is that variable's.
pub(super) fn read(
    origin: &DocumentOrigin,
    secret: &str,
    object: &Value,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<SecretData, ConfigError> {
    let mut data: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for field in ["data", "stringData"] {
        for (key, value) in object[field].as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let plain = match variable(text) {
                Some(_) => text.as_bytes().to_vec(),
                None if field == "stringData" => text.as_bytes().to_vec(),
                None => STANDARD.decode(text.trim()).map_err(|_| ConfigError::NotBase64 {
                    origin: origin.clone(),
                    secret: secret.to_owned(),
                    key: key.clone(),
                })?,
            };
            data.insert(key.clone(), plain);
        }
    }
    let mut resolved = Vec::with_capacity(data.len());
    for (key, value) in data {
        let wanted = std::str::from_utf8(&value).ok().and_then(variable).map(str::to_owned);
        let Some(variable) = wanted else {
            resolved.push((key, value));
            continue;
        };
        let Some(value) = env(&variable).filter(|value| !value.is_empty()) else {
            let (origin, secret) = (origin.clone(), secret.to_owned());
            return Err(ConfigError::NoVariable { origin, secret, key, variable });
        };
        resolved.push((key, value.into_bytes()));
    }
    Ok(resolved.into_iter().collect())
}

/// The name in `${env:NAME}`.
fn variable(text: &str) -> Option<&str> {
    text.strip_prefix("${env:")?.strip_suffix('}').filter(|name| !name.is_empty())
}
