//! What the tests, the bench and the demo are made of: real servers, faults, an independent oracle, a conformance suite.
//!
//! Never part of the operator.

pub mod bench_collect;
pub mod bench_extract;
pub mod bench_faults;
pub mod bench_live;
pub mod conformance;
pub mod counting_alloc;
pub mod demo;
pub mod fault_proxy;
pub mod hostile;
pub mod manifests;
pub mod operator;
pub mod scene;
pub mod servers;
pub mod sim;
pub mod tenant;
pub mod truth;
