//! What the tests build on: a store with one target, an exporter, and a reporter that can be waited for.

use kollect_export::{
    AlwaysWrite, BindingId, BindingSpec, ExportSettings, Exporter, Family, InventoryKey, Outcome, OutcomeResult,
    Reporter, Sink, SinkKey,
};
use kollect_model::{Gvk, ObjectKey, Row, RowId, TargetKey, Uid};
use kollect_store::{Coverage, Store, View, WantedParts};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

pub(crate) fn key(name: &str) -> Arc<TargetKey> {
    Arc::new(TargetKey::namespaced("shop", name))
}

pub(crate) fn row(target: &str, namespace: &str, uid: &str, value: u64) -> Row {
    let id = RowId { target: key(target), uid: Uid::parse(uid) };
    let gvk = Arc::new(Gvk::new("", "v1", "ConfigMap"));
    let object = ObjectKey { gvk, namespace: namespace.into(), name: format!("cm-{uid}").into() };
    Row::new(id, object, RawValue::from_string(format!("{{\"v\":{value}}}")).unwrap())
}

pub(crate) fn wanted(namespaces: &[&str]) -> WantedParts {
    WantedParts::Namespaces(Arc::new(namespaces.iter().map(|n| Arc::from(*n)).collect()))
}

/// A store whose target `a` wants namespaces `one` and `two`, both listed.
pub(crate) fn store(rows: u64) -> Arc<Store> {
    let store = Arc::new(Store::new());
    store.ensure_target(&key("a"));
    store.set_wanted(&key("a"), wanted(&["one", "two"]));
    for at in 0..rows {
        store.upsert(row("a", "one", &format!("u{at}"), at));
    }
    store.complete_list(&key("a"), None, &|_| true);
    store
}

pub(crate) fn id(name: &str, family: Family) -> BindingId {
    BindingId {
        inventory: InventoryKey { namespace: "shop".into(), name: name.into() },
        sink: SinkKey { family, namespace: "shop".into(), name: format!("sink-{name}").into() },
    }
}

pub(crate) fn rows_to(name: &str, sink: Sink, interval: Duration) -> BindingSpec {
    BindingSpec {
        id: id(name, Family::Database),
        view: View::of(vec![key("a")]),
        sink,
        min_interval: interval,
        config_version: 1,
        document: None,
        cluster: "".into(),
        sink_type: "memory",
        destination: "memory".to_owned(),
    }
}

pub(crate) struct Bench {
    pub(crate) store: Arc<Store>,
    pub(crate) exporter: Arc<Exporter>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
}

struct Sending(mpsc::UnboundedSender<Outcome>);

impl Reporter for Sending {
    fn outcome(&self, outcome: &Outcome) {
        let _ = self.0.send(outcome.clone());
    }
}

impl Bench {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self::with(store, ExportSettings::default())
    }

    pub(crate) fn with(store: Arc<Store>, settings: ExportSettings) -> Self {
        let (sender, outcomes) = mpsc::unbounded_channel();
        let exporter = Exporter::new(store.clone(), Arc::new(AlwaysWrite), settings, Arc::new(Sending(sender)));
        exporter.start();
        Self { store, exporter, outcomes }
    }

    pub(crate) async fn next(&mut self) -> Outcome {
        tokio::time::timeout(Duration::from_secs(20), self.outcomes.recv()).await.expect("no outcome").unwrap()
    }

    /// Waits for the next success of any binding.
    pub(crate) async fn exported(&mut self) -> Outcome {
        loop {
            let outcome = self.next().await;
            if matches!(outcome.result, OutcomeResult::Exported(_)) {
                return outcome;
            }
        }
    }

    pub(crate) async fn failed(&mut self) -> kollect_export::SinkError {
        loop {
            if let OutcomeResult::Failed(error) = self.next().await.result {
                return error;
            }
        }
    }
}

/// Target `a` with namespaces `one` and `two`, of which `one` cannot be listed.
pub(crate) fn lost() -> Arc<Store> {
    let store = Arc::new(Store::new());
    store.ensure_target(&key("a"));
    store.set_wanted(&key("a"), wanted(&["one", "two"]));
    store.set_coverage(&key("a"), "one", Coverage::Lost("forbidden".into()));
    store.complete_list(&key("a"), Some("two"), &|_| true);
    store
}
