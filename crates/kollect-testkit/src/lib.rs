//! What the tests, the bench and the demo are made of: real servers, faults, an independent oracle, a conformance suite.
//!
//! Never part of the operator.

pub mod conformance;
pub mod fault_proxy;
pub mod servers;
