//! How the program opens sinks, passed in so that this crate depends on no sink.

use kollect_export::FileSink;
use kollect_resources::registry::SinkRegistry;
use std::path::Path;
use std::sync::Arc;

/// Opens a directory as a sink; with `true` the sink validates what it receives and writes nothing.
pub type OpenDirectory = fn(&Path, bool) -> Arc<dyn FileSink>;

/// The sinks that the program was built with.
#[derive(Clone)]
pub struct SinkBuilders {
    /// Builds the sinks of the configuration.
    pub registry: Arc<dyn SinkRegistry>,
    /// Opens the directory of `--output`.
    pub directory: OpenDirectory,
}
