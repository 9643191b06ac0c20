//! The list and watch protocol of the API server. It must not know targets or rows.

pub(crate) mod event_handler;
pub(crate) mod event_meta;
pub(crate) mod json_split;
pub(crate) mod list_watch;
pub(crate) mod request;
pub(crate) mod request_error;
pub(crate) mod retry;
