//! File bindings.

use crate::bench::{Bench, id, key, lost, row, store};
use kollect_export::encode::{Content, Format};
use kollect_export::layout::{
    Author, CommitTemplates, DEFAULT_DOCUMENT_TEMPLATE, DEFAULT_ROW_TEMPLATE, DocumentSpec, FilenameOptions, Grammar,
    Mode, Partitioning, PathTemplate,
};
use kollect_export::testing::MemoryFiles;
use kollect_export::testing::{Faulty, SinkFault};
use kollect_export::{BindingSpec, Family, FileSink, OutcomeResult, Removal, Sink};
use kollect_model::{Cause, Row, Uid};
use kollect_store::View;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn spec(name: &str, mode: Mode, sink: Arc<dyn FileSink>) -> BindingSpec {
    let id = id(name, Family::Snapshot);
    let document = DocumentSpec {
        mode,
        content: Content::Item,
        format: Format::Json,
        path_template: PathTemplate::parse(DEFAULT_DOCUMENT_TEMPLATE, Grammar::Document).unwrap(),
        row_template: PathTemplate::parse(DEFAULT_ROW_TEMPLATE, Grammar::Row).unwrap(),
        index_template: PathTemplate::parse(DEFAULT_DOCUMENT_TEMPLATE, Grammar::Document).unwrap(),
        filename: FilenameOptions::default(),
        cluster: "".into(),
        inventory: id.inventory.clone(),
        generation: 1,
        sink_name: id.sink.name.clone(),
        max_bytes: 0,
        backend_limit: None,
        partitioning: Partitioning::Auto,
        commit: CommitTemplates { subject: "{name}: {itemCount}".to_owned(), ..CommitTemplates::default() },
        author: Author::default(),
    };
    BindingSpec {
        id,
        view: View::of(vec![key("a")]),
        sink: Sink::Files(sink),
        min_interval: Duration::ZERO,
        config_version: 1,
        document: Some(Arc::new(document)),
        cluster: "".into(),
        sink_type: "memory",
        destination: "memory".to_owned(),
    }
}

pub(crate) fn record(spec: &BindingSpec) -> String {
    spec.document.as_ref().unwrap().record_path()
}

#[tokio::test]
async fn a_document_is_written_once_per_content() {
    let mut bench = Bench::new(store(3));
    let memory = Arc::new(MemoryFiles::new("lane"));
    let spec = spec("inv", Mode::Document, memory.clone());
    bench.exporter.set_binding(spec.clone());
    bench.exported().await;
    let files = memory.files(&record(&spec));
    assert_eq!(files.keys().map(ToString::to_string).collect::<Vec<_>>(), ["inventory/shop/inv.json"]);
    bench.store.upsert(row("a", "one", "u0", 0));
    bench.store.upsert(row("a", "one", "u0", 50));
    bench.exported().await;
    assert_eq!(memory.messages(), ["inv: 3", "inv: 3"]);
    let (_, body) = &memory.files(&record(&spec))["inventory/shop/inv.json"];
    assert!(String::from_utf8_lossy(body).contains("{\"v\":50}"));
    let status = bench.exporter.status(&spec.id).unwrap();
    assert!(String::from_utf8_lossy(body).contains(&status.checksum.unwrap()));
    assert_eq!(status.revision.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_tree_gets_only_the_files_that_change_and_survives_a_restart() {
    let memory = Arc::new(MemoryFiles::new("lane"));
    let mut bench = Bench::new(store(4));
    let spec = spec("inv", Mode::PerResource, memory.clone());
    bench.exporter.set_binding(spec.clone());
    assert_eq!(bench.exported().await.rows, 4);
    bench.store.remove(&key("a"), &Uid::parse("u1"), Cause::Observed);
    assert_eq!(bench.exported().await.rows, 1);
    bench.exporter.stop(Duration::from_secs(1)).await;
    assert_eq!(memory.files(&record(&spec)).len(), 3);

    let mut after = Bench::new(store(3));
    after.exporter.set_binding(spec.clone());
    assert_eq!(after.exported().await.rows, 2, "u1 comes back and u3 goes");
    assert_eq!(memory.files(&record(&spec)).len(), 3);
}

#[tokio::test]
async fn files_of_a_lost_part_stay_until_it_is_listed_again() {
    let memory = Arc::new(MemoryFiles::new("lane"));
    let mut before = Bench::new(store(4));
    before.store.upsert(row("a", "two", "v0", 1));
    let tree = spec("tree", Mode::PerResource, memory.clone());
    before.exporter.set_binding(tree.clone());
    before.exported().await;
    before.exporter.stop(Duration::from_secs(1)).await;

    let mut after = Bench::new(lost());
    after.exporter.set_binding(tree.clone());
    assert!(matches!(after.next().await.result, OutcomeResult::Exported(_)));
    assert_eq!(memory.files(&record(&tree)).len(), 4, "the file of the part that is known to be empty is gone");
    after.store.complete_list(&key("a"), Some("one"), &|_| true);
    after.exported().await;
    assert!(memory.files(&record(&tree)).is_empty());
}

#[tokio::test]
async fn the_index_of_a_split_tree_names_what_stays_of_a_lost_part() {
    let memory = Arc::new(MemoryFiles::new("lane"));
    let mut before = Bench::new(store(2));
    before.store.upsert(row("a", "two", "v0", 1));
    let split = spec("split", Mode::Split, memory.clone());
    before.exporter.set_binding(split.clone());
    before.exported().await;
    before.exporter.stop(Duration::from_secs(1)).await;
    assert_eq!(memory.files(&record(&split)).len(), 4, "three rows and the index");

    let mut after = Bench::new(lost());
    after.exporter.set_binding(split.clone());
    after.exported().await;
    let index = || {
        let (_, body) = &memory.files(&record(&split))["inventory/shop/split.json"];
        let index: serde_json::Value = serde_json::from_slice(body).unwrap();
        index["paths"].as_array().unwrap().len()
    };
    assert_eq!((memory.files(&record(&split)).len(), index()), (3, 2), "the file of v0 is gone");
    after.store.upsert(row("a", "two", "v1", 1));
    after.exported().await;
    assert_eq!((memory.files(&record(&split)).len(), index()), (4, 3), "a change forgets none of them");
    after.store.complete_list(&key("a"), Some("one"), &|_| true);
    after.exported().await;
    assert_eq!((memory.files(&record(&split)).len(), index()), (2, 1));
}

#[tokio::test]
async fn an_unset_layout_follows_the_rows() {
    let copy = |uid: &str, version: u32| {
        let Row { id, object, .. } = row("a", "one", uid, 0);
        let copy = format!(r#"{{"resource":{{"apiVersion":"v1","data":{{"v":{version}}},"kind":"ConfigMap"}}}}"#);
        Row::new(id, object, RawValue::from_string(copy).unwrap())
    };
    let memory = Arc::new(MemoryFiles::new("lane"));
    let mut bench = Bench::new(store(0));
    bench.store.upsert(copy("u0", 1));
    bench.store.upsert(copy("u1", 1));
    let auto = spec("auto", Mode::Auto, memory.clone());
    let manifests = DocumentSpec { content: Content::Manifest, ..auto.document.as_deref().cloned().unwrap() };
    let auto = BindingSpec { document: Some(Arc::new(manifests)), ..auto };
    bench.exporter.set_binding(auto.clone());
    bench.exported().await;
    let paths = || memory.files(&record(&auto)).keys().map(ToString::to_string).collect::<Vec<_>>();
    let trees = ["default/one/configmap/cm-u0.json", "default/one/configmap/cm-u1.json"];
    assert_eq!(
        (paths(), bench.exporter.status(&auto.id).unwrap().document),
        (trees.map(str::to_owned).to_vec(), false)
    );
    bench.store.upsert(copy("u1", 2));
    assert_eq!(bench.exported().await.rows, 1, "one file changed");

    bench.store.upsert(row("a", "one", "u2", 0));
    bench.exported().await;
    assert_eq!(
        (paths(), bench.exporter.status(&auto.id).unwrap().document),
        (vec!["inventory/shop/auto.json".to_owned()], true)
    );
    bench.store.remove(&key("a"), &Uid::parse("u2"), Cause::Observed);
    bench.exported().await;
    assert_eq!(paths(), trees);
    for uid in ["u0", "u1"] {
        bench.store.remove(&key("a"), &Uid::parse(uid), Cause::Observed);
    }
    bench.exported().await;
    assert_eq!(paths(), ["inventory/shop/auto.json"], "of no rows nothing can be said");
}

#[tokio::test]
async fn bindings_of_a_lane_fail_alone() {
    let mut bench = Bench::new(store(2));
    let memory = Arc::new(MemoryFiles::new("lane"));
    let faulty = Arc::new(Faulty::new(memory.clone()));
    faulty.faults.plan(&[SinkFault::Terminal]);
    bench.exporter.set_binding(spec("one", Mode::Document, faulty.clone()));
    bench.failed().await;
    bench.exporter.set_binding(spec("two", Mode::Document, faulty.clone()));
    let outcome = bench.exported().await;
    assert_eq!(&*outcome.binding.inventory.name, "two");
    let two = spec("two", Mode::Document, faulty.clone());
    bench.exporter.remove_binding(&two.id, Removal::Forget).await.unwrap();
    assert!(memory.files(&record(&two)).is_empty());
}
