//! Why a request to the API server failed. The variant decides what follows: relist, access review, discovery or retry.
//!
//! It is set from status codes and typed causes, never from text.

use super::json_split::SplitError;
use serde::Deserialize;
use std::fmt::Write as _;

/// Why a request failed; the variant decides what to do next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the resource version is too old to resume from")]
    Expired,
    #[error("not permitted: {0}")]
    Forbidden(String),
    #[error("the resource is not served: {0}")]
    NotServed(String),
    #[error("the request form is not supported: {0}")]
    Unsupported(String),
    #[error("the API server answered {code}: {message}")]
    Refused { code: u16, message: String },
    #[error("the resource version is ahead of the API server")]
    Ahead,
    #[error("the API server could not be reached: {0}")]
    Unreachable(String),
    #[error("the API server did not answer in time")]
    Silent,
    #[error("the answer could not be read: {0}")]
    Garbled(String),
    #[error("not every object of the list could be taken in")]
    NotTakenIn,
}

impl From<SplitError> for RequestError {
    fn from(error: SplitError) -> Self {
        Self::Garbled(error.to_string())
    }
}

/// An API server's error answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    code: u16,
    message: String,
    details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    causes: Vec<StatusCause>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StatusCause {
    reason: String,
}

impl RequestError {
    pub(crate) fn of(code: u16, status: Status) -> Self {
        let message = status.message;
        if status.details.causes.iter().any(|cause| cause.reason == "ResourceVersionTooLarge") {
            return Self::Ahead;
        }
        match code {
            410 => Self::Expired,
            403 => Self::Forbidden(message),
            404 | 405 => Self::NotServed(message),
            400 | 422 => Self::Unsupported(message),
            code => Self::Refused { code, message },
        }
    }

    pub(crate) fn unreachable(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        for _ in 0..8 {
            let Some(next) = cause else { break };
            let _ = write!(text, ": {next}");
            cause = next.source();
        }
        Self::Unreachable(text)
    }
}

/// The error that a watch reports as an event.
pub(crate) fn error_event(object: &str) -> RequestError {
    let status: Status = serde_json::from_str(object).unwrap_or_default();
    RequestError::of(status.code, status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_answer_decides_what_happens_next() {
        let class = |code: u16| match RequestError::of(code, Status::default()) {
            RequestError::Expired => "relist",
            RequestError::Forbidden(_) => "access",
            RequestError::NotServed(_) => "discovery",
            RequestError::Unsupported(_) => "other form",
            _ => "again",
        };
        let table =
            [(410, "relist"), (403, "access"), (404, "discovery"), (422, "other form"), (429, "again"), (503, "again")];
        for (code, expected) in table {
            assert_eq!(class(code), expected, "{code}");
        }
        let ahead = r#"{"code":504,"details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"x"}]}}"#;
        assert!(matches!(error_event(ahead), RequestError::Ahead));
    }
}
