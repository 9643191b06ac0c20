//! From one sink reference of an inventory to the binding that the export engine gets. Pure; operator and command line
//! build every binding here.

use crate::kinds::NamespacedName;
use crate::registry::{BuiltSink, SinkObject, SinkRegistry};
use crate::scopes::Scopes;
use kollect_api::{Partitioning, SinkFamily, SinkRef};
use kollect_export::layout::DocumentSpec;
use kollect_export::{BindingId, BindingSpec, InventoryKey, SinkError};
use kollect_model::Reason;
use kollect_spec::LayoutContext;
use kollect_store::View;
use std::sync::Arc;
use std::time::Duration;

/// Whether the scopes of an inventory let it use a sink.
///
/// # Errors
///
/// `SinkNamespaceDenied` or `ScopeSinkDenied`, with the scope that denies it.
pub fn check_sink_allowed(scopes: &Scopes, family: SinkFamily, sink: &NamespacedName) -> Result<(), SinkError> {
    let denied = |reason: Reason, why: String| SinkError::terminal("scope", why).with_reason(reason);
    let ceiling = scopes.ceiling();
    ceiling
        .static_ref_allowed(&sink.namespace)
        .map_err(|why| denied(Reason::SinkNamespaceDenied, format!("namespace {} {why}", sink.namespace)))?;
    ceiling.sink_allowed(family, &sink.name).map_err(|why| denied(Reason::ScopeSinkDenied, why))
}

/// The fields of an inventory that shape what is written, or their defaults where a run has no inventory.
#[derive(Clone, Debug)]
pub struct InventoryFields {
    /// Its name in keys and paths.
    pub key: InventoryKey,
    /// `metadata.generation`.
    pub generation: i64,
    /// `spec.maxExportBytes`, or the ceiling of the process.
    pub max_export_bytes: i64,
    /// `spec.partitioning`.
    pub partitioning: Partitioning,
    /// One of its usable sinks is an object store, which takes large documents.
    pub object_store: bool,
}

impl InventoryFields {
    /// The layout of one binding; `None` for row sinks.
    ///
    /// # Errors
    ///
    /// The layout that the sink's spec asks for is not one of its backend's.
    pub fn document(
        &self,
        registry: &dyn SinkRegistry,
        reference: &SinkRef,
        sink: &SinkObject,
    ) -> Result<Option<Arc<DocumentSpec>>, SinkError> {
        let max_bytes = reference.max_export_bytes.unwrap_or(self.max_export_bytes);
        let context = LayoutContext {
            inventory: self.key.clone(),
            generation: self.generation,
            max_bytes: u64::try_from(max_bytes).unwrap_or(0),
            partitioning: self.partitioning,
            object_store: self.object_store,
            sink_name: reference.name.as_str().into(),
        };
        Ok(registry.document(sink, context)?.map(Arc::new))
    }
}

/// A binding that exports at once, and never again by a change of specs alone. Callers with a cadence set `min_interval` and
/// `config_version`.
pub fn binding_spec(
    id: BindingId,
    view: View,
    built: BuiltSink,
    sink_type: &'static str,
    document: Option<Arc<DocumentSpec>>,
) -> BindingSpec {
    BindingSpec {
        id,
        view,
        sink: built.sink,
        min_interval: Duration::ZERO,
        config_version: 0,
        document,
        cluster: built.cluster,
        sink_type,
        destination: built.destination,
    }
}
