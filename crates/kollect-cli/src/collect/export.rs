//! Writes the exports of one source, one after the other.
//!
//! Separate from deciding where they go. An export that fails does not keep the others from being written.

use super::Hands;
use super::destination::{Directory, cluster_of, engine_family, family_of, find, title_of};
use super::dry_run::{DryFiles, DryRows, Intent};
use super::source::Source;
use super::units::Unit;
use crate::config::Config;
use kollect_api::{SinkFamily, SinkRef};
use kollect_control::registry::{BuiltSink, DocumentContext, SecretBundle, SinkObject};
use kollect_export::layout::DocumentSpec;
use kollect_export::{
    AlwaysWrite, BindingId, BindingSpec, ExportSettings, Receipt, Sink, SinkError, SinkKey, export_once,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// One finished write.
pub(super) struct Written {
    /// What was exported.
    pub(super) unit: String,
    /// Where to, without credentials.
    pub(super) destination: String,
    pub(super) result: Result<Receipt, SinkError>,
    /// What a dry run would have done.
    pub(super) intent: Option<Intent>,
}

/// Writes exports of one source.
pub(super) struct Exporter<'a> {
    pub(super) config: &'a Config,
    pub(super) source: &'a Source,
    pub(super) hands: &'a Hands,
    /// `--cluster`.
    pub(super) cluster: Option<&'a str>,
    pub(super) dry_run: bool,
    pub(super) cancel: &'a CancellationToken,
    built: HashMap<String, Result<BuiltSink, SinkError>>,
}

impl<'a> Exporter<'a> {
    pub(super) fn new(
        config: &'a Config,
        source: &'a Source,
        hands: &'a Hands,
        cluster: Option<&'a str>,
        dry_run: bool,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self { config, source, hands, cluster, dry_run, cancel, built: HashMap::new() }
    }

    /// The name of the cluster where no sink says it.
    pub(super) fn cluster(&self) -> &'a str {
        self.cluster.unwrap_or(&self.source.context)
    }

    /// Writes one export into a directory.
    pub(super) async fn write_directory(&self, unit: &Unit<'_>, directory: &Directory) -> Written {
        let document = Arc::new(directory.document(unit, self.cluster()));
        let sink = SinkKey {
            family: engine_family(SinkFamily::Snapshot),
            namespace: unit.key.namespace.clone(),
            name: document.sink_name.clone(),
        };
        let dry = Arc::new(DryFiles::new(directory.sink.clone(), true));
        let used = if self.dry_run { Sink::Files(dry.clone()) } else { Sink::Files(directory.sink.clone()) };
        let result = self.once(unit, sink, used, Some(document), "directory", &directory.path).await;
        Written {
            unit: unit.key.to_string(),
            destination: directory.path.clone(),
            result,
            intent: self.dry_run.then(|| dry.intent()),
        }
    }

    /// Writes one export to the sinks of the configuration.
    pub(super) async fn write_sinks(&mut self, unit: &Unit<'_>) -> Vec<Written> {
        let mut all = Vec::new();
        for (reference, object) in self.sinks_of(unit) {
            all.push(self.write_sink(unit, &reference, &object).await);
        }
        all
    }

    fn sinks_of(&self, unit: &Unit<'_>) -> Vec<(SinkRef, SinkObject)> {
        let Some(inventory) = unit.inventory else {
            let only =
                |sink: &SinkObject| (SinkRef::named(sink.meta().name.as_deref().unwrap_or_default()), sink.clone());
            // With inventories, a target without one goes nowhere.
            return if self.config.inventories.is_empty() {
                self.config.sinks.iter().map(only).collect()
            } else {
                vec![]
            };
        };
        let mut sinks = Vec::new();
        for family in SinkFamily::ALL {
            for reference in inventory.spec.sink_refs(family) {
                if let Some(sink) = find(self.config, family, &unit.key.namespace, &reference.name) {
                    sinks.push((reference.clone(), sink.clone()));
                }
            }
        }
        sinks
    }

    async fn write_sink(&mut self, unit: &Unit<'_>, reference: &SinkRef, object: &SinkObject) -> Written {
        let mut written = Written {
            unit: unit.key.to_string(),
            destination: title_of(object),
            result: Ok(Receipt::default()),
            intent: None,
        };
        let built = match self.permitted(unit, object).and_then(|()| self.build(object)) {
            Ok(built) => built,
            Err(error) => return Written { result: Err(error), ..written },
        };
        written.destination = format!("{} ({})", title_of(object), built.destination);
        let document = match self.document(unit, reference, &self.adapted(object)) {
            Ok(document) => document,
            Err(error) => return Written { result: Err(error), ..written },
        };
        let sink = SinkKey {
            family: engine_family(family_of(object)),
            namespace: unit.key.namespace.clone(),
            name: reference.name.as_str().into(),
        };
        if !self.dry_run {
            let result = self.once(unit, sink, built.sink, document, object.sink_type(), &built.destination).await;
            return Written { result, ..written };
        }
        match built.sink {
            Sink::Files(inner) => {
                let dry = Arc::new(DryFiles::new(inner, false));
                written.result =
                    self.once(unit, sink, Sink::Files(dry.clone()), document, object.sink_type(), "").await;
                written.intent = Some(dry.intent());
            }
            Sink::Rows(inner) => {
                let creates = object.common().provisioning_mode() == kollect_api::ProvisioningMode::Ensure;
                let dry = Arc::new(DryRows::new(inner, creates));
                written.result = self.once(unit, sink, Sink::Rows(dry.clone()), document, object.sink_type(), "").await;
                written.intent = Some(dry.intent());
            }
        }
        written
    }

    /// Whether the scopes of the namespace let it export there.
    fn permitted(&self, unit: &Unit<'_>, object: &SinkObject) -> Result<(), SinkError> {
        let of_namespace =
            self.config.scopes.iter().filter(|scope| scope.metadata.namespace.as_deref() == Some(&unit.key.namespace));
        let name = object.meta().name.as_deref().unwrap_or_default();
        kollect_rules::Ceiling::of_namespace(of_namespace)
            .sink_allowed(family_of(object), name)
            .map_err(|why| SinkError::terminal("scope", why).with_reason("ScopeSinkDenied"))
    }

    /// The sink as this run needs it: with the cluster's name, and without creating tables in a dry run.
    fn adapted(&self, object: &SinkObject) -> SinkObject {
        let mut object = object.clone();
        let cluster = match (self.cluster, cluster_of(&object)) {
            (Some(given), _) => given.to_owned(),
            (None, "") => self.source.context.clone(),
            (None, own) => own.to_owned(),
        };
        let common = match &mut object {
            SinkObject::Snapshot(sink) => &mut Arc::make_mut(sink).spec.common,
            SinkObject::Database(sink) => &mut Arc::make_mut(sink).spec.common,
            SinkObject::Event(sink) => &mut Arc::make_mut(sink).spec.common,
        };
        common.cluster = Some(cluster).filter(|name| !name.is_empty());
        if self.dry_run {
            common.provisioning.get_or_insert_default().mode = Some(kollect_api::ProvisioningMode::Existing);
        }
        object
    }

    fn build(&mut self, object: &SinkObject) -> Result<BuiltSink, SinkError> {
        let key = format!("{}/{}", object.meta().namespace.as_deref().unwrap_or_default(), title_of(object));
        if let Some(built) = self.built.get(&key) {
            return built.clone();
        }
        let adapted = self.adapted(object);
        let built = self.secrets(&adapted).and_then(|secrets| self.hands.registry.build(&adapted, &secrets));
        self.built.insert(key, built.clone());
        built
    }

    fn secrets(&self, object: &SinkObject) -> Result<SecretBundle, SinkError> {
        let own = object.meta().namespace.clone().unwrap_or_default();
        let mut bundle = SecretBundle::new();
        for need in self.hands.registry.secrets(object) {
            let namespace = need.namespace.clone().filter(|name| !name.trim().is_empty());
            let place = (namespace.clone().unwrap_or_else(|| own.clone()), need.name.clone());
            let by_name = || {
                let mut named = self.config.secrets.iter().filter(|((_, name), _)| *name == need.name);
                named.next().filter(|_| namespace.is_none()).map(|(_, data)| data)
            };
            let data = self.config.secrets.get(&place).or_else(by_name).ok_or_else(|| {
                let why = format!("{}: there is no Secret {} in the directory; add it", need.field, need.name);
                SinkError::terminal("config", why).with_reason("SecretResolveFailed")
            })?;
            bundle.insert(need.field, data.clone());
        }
        Ok(bundle)
    }

    fn document(
        &self,
        unit: &Unit<'_>,
        reference: &SinkRef,
        object: &SinkObject,
    ) -> Result<Option<Arc<DocumentSpec>>, SinkError> {
        let usual = kollect_rules::RuleSettings::default().max_export_bytes;
        let max = reference.max_export_bytes.or(unit.max_bytes()).unwrap_or(usual);
        let context = DocumentContext {
            inventory: unit.key.clone(),
            generation: unit.generation(),
            max_bytes: u64::try_from(max).unwrap_or(0),
            partitioning: unit.partitioning(),
            object_store: false,
            sink_name: reference.name.as_str().into(),
        };
        Ok(self.hands.registry.document(object, &context)?.map(Arc::new))
    }

    async fn once(
        &self,
        unit: &Unit<'_>,
        sink_key: SinkKey,
        sink: Sink,
        document: Option<Arc<DocumentSpec>>,
        sink_type: &'static str,
        destination: &str,
    ) -> Result<Receipt, SinkError> {
        let spec = BindingSpec {
            id: BindingId { inventory: unit.key.clone(), sink: sink_key },
            view: unit.view.clone(),
            sink,
            min_interval: Duration::ZERO,
            config_version: 1,
            document,
            cluster: self.cluster().into(),
            sink_type,
            destination: destination.to_owned(),
        };
        // Without a number of its own it never takes a table over from a running operator.
        export_once(&self.source.store, &spec, ExportSettings::default(), &AlwaysWrite, self.cancel).await
    }
}
