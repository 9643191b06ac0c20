//! Proxies that make the network fail on demand.
//!
//! Every remote part is tested behind them. [`TcpProxy`] knows bytes only and fits any backend;
//! [`HttpProxy`] is placed before the API server and can pick single requests and watches.

mod http;
mod request;
mod tcp;

pub use http::{HttpAction, HttpProxy, HttpRule, RuleId};
pub use request::RequestRecord;
pub use tcp::{Connection, TcpFault, TcpMatch, TcpProxy, Trigger};
