//! Writes the exports of one source, one after the other. A failed export does not stop the others.

use super::destination::{Directory, cluster_of, find, title_of};
use super::dry_run::{DryFiles, DryRows, Intent};
use super::plan::scopes_of;
use super::sink_builders::SinkBuilders;
use super::source::CollectedSource;
use super::units::Unit;
use crate::config::CollectConfig;
use kollect_api::{SinkFamily, SinkRef};
use kollect_export::layout::DocumentSpec;
use kollect_export::{AlwaysWrite, BindingId, ExportSettings, Receipt, Sink, SinkError, SinkKey, export_once};
use kollect_model::Reason;
use kollect_resources::binding::{InventoryFields, binding_spec, check_sink_allowed};
use kollect_resources::keys::sink_key;
use kollect_resources::kinds::NamespacedName;
use kollect_resources::registry::{BuiltSink, SecretBundle, SinkObject};
use std::collections::HashMap;
use std::sync::Arc;
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
    pub(super) config: &'a CollectConfig,
    pub(super) source: &'a CollectedSource,
    pub(super) builders: &'a SinkBuilders,
    /// `--cluster`.
    pub(super) cluster: Option<&'a str>,
    pub(super) dry_run: bool,
    pub(super) cancel: &'a CancellationToken,
    built: HashMap<String, Result<BuiltSink, SinkError>>,
}

impl<'a> Exporter<'a> {
    pub(super) fn new(
        config: &'a CollectConfig,
        source: &'a CollectedSource,
        builders: &'a SinkBuilders,
        cluster: Option<&'a str>,
        dry_run: bool,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self { config, source, builders, cluster, dry_run, cancel, built: HashMap::new() }
    }

    /// The name of the cluster for sinks without `spec.cluster`.
    pub(super) fn cluster(&self) -> &'a str {
        self.cluster.unwrap_or(&self.source.context)
    }

    /// Writes one export into a directory.
    pub(super) async fn write_directory(&self, unit: &Unit<'_>, directory: &Directory) -> Written {
        let document = Arc::new(directory.document(unit, self.cluster()));
        let sink = NamespacedName { namespace: unit.key.namespace.clone(), name: document.sink_name.clone() };
        let key = sink_key(SinkFamily::Snapshot, &sink);
        let dry = Arc::new(DryFiles::new(directory.sink.clone(), true));
        let used = if self.dry_run { Sink::Files(dry.clone()) } else { Sink::Files(directory.sink.clone()) };
        let built = BuiltSink::local(used, &directory.path, self.cluster());
        let result = self.once(unit, key, built, "directory", Some(document)).await;
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
        let name = NamespacedName { namespace: unit.key.namespace.clone(), name: reference.name.as_str().into() };
        let key = sink_key(object.family(), &name);
        if !self.dry_run {
            let result = self.once(unit, key, built, object.sink_type(), document).await;
            return Written { result, ..written };
        }
        match built.sink.clone() {
            Sink::Files(inner) => {
                let dry = Arc::new(DryFiles::new(inner, false));
                let built = BuiltSink { sink: Sink::Files(dry.clone()), ..built };
                written.result = self.once(unit, key, built, object.sink_type(), document).await;
                written.intent = Some(dry.intent());
            }
            Sink::Rows(inner) => {
                let creates = object.common().provisioning_mode() == kollect_api::ProvisioningMode::Ensure;
                let dry = Arc::new(DryRows::new(inner, creates));
                let built = BuiltSink { sink: Sink::Rows(dry.clone()), ..built };
                written.result = self.once(unit, key, built, object.sink_type(), document).await;
                written.intent = Some(dry.intent());
            }
        }
        written
    }

    /// Whether the scopes of the namespace let it export there.
    fn permitted(&self, unit: &Unit<'_>, object: &SinkObject) -> Result<(), SinkError> {
        let name = object.meta().name.as_deref().unwrap_or_default();
        let sink = NamespacedName::new(&unit.key.namespace, name);
        check_sink_allowed(&scopes_of(self.config, &unit.key.namespace), object.family(), &sink)
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
        let built = self.secrets(&adapted).and_then(|secrets| self.builders.registry.build(&adapted, &secrets));
        self.built.insert(key, built.clone());
        built
    }

    fn secrets(&self, object: &SinkObject) -> Result<SecretBundle, SinkError> {
        let own = object.meta().namespace.clone().unwrap_or_default();
        let mut bundle = SecretBundle::new();
        for need in self.builders.registry.secrets(object) {
            let namespace = need.namespace.clone().filter(|name| !name.trim().is_empty());
            let place = (namespace.clone().unwrap_or_else(|| own.clone()), need.name.clone());
            let by_name = || {
                let mut named = self.config.secrets.iter().filter(|((_, name), _)| *name == need.name);
                named.next().filter(|_| namespace.is_none()).map(|(_, data)| data)
            };
            let data = self.config.secrets.get(&place).or_else(by_name).ok_or_else(|| {
                let why = format!("{}: there is no Secret {} in the directory; add it", need.field, need.name);
                SinkError::terminal("config", why).with_reason(Reason::SecretResolveFailed)
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
        let fields = InventoryFields {
            key: unit.key.clone(),
            generation: unit.generation(),
            max_export_bytes: unit.max_bytes().unwrap_or(usual),
            partitioning: unit.partitioning(),
            object_store: self.sinks_of(unit).iter().any(|(_, sink)| matches!(sink.sink_type(), "s3" | "gcs")),
        };
        fields.document(&*self.builders.registry, reference, object)
    }

    async fn once(
        &self,
        unit: &Unit<'_>,
        sink: SinkKey,
        built: BuiltSink,
        sink_type: &'static str,
        document: Option<Arc<DocumentSpec>>,
    ) -> Result<Receipt, SinkError> {
        let id = BindingId { inventory: unit.key.clone(), sink };
        let spec = binding_spec(id, unit.view.clone(), built, sink_type, document);
        // Without a fence of its own it never takes a table over from a running operator.
        export_once(&self.source.store, &spec, ExportSettings::default(), &AlwaysWrite, self.cancel).await
    }
}
