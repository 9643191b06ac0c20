//! `spec.options`, and the error of a spec that cannot be built.

use kollect_api::{GoDuration, SinkCommon};
use kollect_export::SinkError;
use kollect_model::Reason;
use std::time::Duration;

/// The terminal error of an invalid spec.
pub fn invalid(message: impl Into<String>) -> SinkError {
    SinkError::terminal("config", message).with_reason(Reason::SinkInvalid)
}

/// The option `key` as a duration; `None` when it is not set.
pub fn option_duration(common: &SinkCommon, key: &str) -> Result<Option<Duration>, SinkError> {
    let parse = |text: &String| GoDuration::new(text).to_duration();
    let parsed = common.options.get(key).map(parse).transpose();
    parsed.map_err(|why| invalid(format!("spec.options.{key}: {why}; write it like 30s")))
}
