//! The specification of one binding, as control or the command line builds it.

use crate::contract::Sink;
use crate::contract::ids::BindingId;
use crate::layout::DocumentSpec;
use kollect_store::View;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One binding as the specs define it.
#[derive(Clone)]
pub struct BindingSpec {
    /// Inventory and sink.
    pub id: BindingId,
    /// Rows to export.
    pub view: View,
    /// The sink. The same `Arc` as before means the same destination.
    pub sink: Sink,
    /// Least time between two exports.
    pub min_interval: Duration,
    /// Hash of the specs and Secrets. A changed hash exports at once and ends a terminal failure.
    pub config_version: u64,
    /// Layout of the files; required for file sinks.
    pub document: Option<Arc<DocumentSpec>>,
    /// Name of the cluster in the sink.
    pub cluster: Arc<str>,
    /// Value of the `sink_type` metric label.
    pub sink_type: &'static str,
    /// The destination, without credentials.
    pub destination: String,
}

impl fmt::Debug for BindingSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BindingSpec({} to {})", self.id, self.destination)
    }
}
