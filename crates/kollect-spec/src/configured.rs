//! A sink that was built from its spec.

use kollect_export::Sink;
use kollect_net::Insecure;

/// A sink and what the operator reports about it.
pub struct ConfiguredSink {
    /// The sink.
    pub sink: Sink,
    /// Where it writes, without credentials.
    pub destination: String,
    /// The servers it sends to, by spec and Secrets together.
    pub servers: Vec<SinkServer>,
    /// Why its connection is not safe, if so.
    pub insecure: Option<Insecure>,
}

/// A server that a sink sends credentials to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkServer {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Port of the protocol's encrypted form.
    pub usual_port: u16,
}
