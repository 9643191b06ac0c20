//! What the tests, the bench and the demo are made of: real servers, faults, an independent oracle, a conformance suite.
//!
//! Never part of the operator.

pub mod conformance;
pub mod fault_proxy;
pub mod hostile;
pub mod latency;
pub mod manifests;
pub mod operator;
pub mod scene;
pub mod servers;
pub mod sim;
pub mod table;
pub mod tenant;
pub mod truth;
