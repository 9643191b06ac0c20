//! Documents while a part of the inventory cannot be listed: its rows are carried over from the held document.

use crate::bench::{Bench, key, lost, row, wanted};
use crate::files::{record, spec};
use kollect_export::encode::Format;
use kollect_export::layout::Mode;
use kollect_export::testing::{MemoryFiles, StoredFiles};
use kollect_export::{
    AlwaysWrite, BindingSpec, Class, ExportSettings, LARGEST_READ, OutcomeResult, SinkError, export_once,
};
use kollect_model::{Cause, Row, Uid};
use kollect_store::{Coverage, Dedupe, NamespaceFilter, Store, View};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const FORMATS: [Format; 3] = [Format::Json, Format::Yaml, Format::Ndjson];
const PATHS: [&str; 3] = ["inventory/shop/inv.json", "inventory/shop/inv.yaml", "inventory/shop/inv.ndjson"];

fn odd_row(uid: &str) -> Row {
    let Row { id, object, .. } = row("a", "one", uid, 0);
    let json = r#"{"f":1e+21,"s":"a\u003cb\n- c: \"d\"\n","t":" x","u":[1.5,null,{"k":[]}],"y":"yes"}"#;
    Row::new(id, object, RawValue::from_string(json.to_owned()).unwrap())
}

/// Rows `u0` and `u1` of `one` and `v0` of `two`.
fn whole() -> Arc<Store> {
    let store = Arc::new(Store::new());
    store.ensure_target(&key("a"));
    store.set_wanted(&key("a"), wanted(&["one", "two"]));
    store.upsert(odd_row("u0"));
    store.upsert(odd_row("u1"));
    store.upsert(row("a", "two", "v0", 1));
    store.complete_list(&key("a"), None, &|_| true);
    store
}

fn document(memory: &Arc<MemoryFiles>, format: Format, max_bytes: u64) -> BindingSpec {
    let spec = spec("inv", Mode::Document, memory.clone());
    let document =
        kollect_export::layout::DocumentSpec { format, max_bytes, ..spec.document.as_deref().cloned().unwrap() };
    BindingSpec { document: Some(Arc::new(document)), ..spec }
}

/// Exports everything and stops, as a process does that is about to lose its permission.
async fn exported_before(store: Arc<Store>, spec: &BindingSpec) {
    let mut bench = Bench::new(store);
    bench.exporter.set_binding(spec.clone());
    bench.exported().await;
    bench.exporter.stop(Duration::from_secs(1)).await;
}

/// The files of a process that may list everything.
async fn files_of(store: Arc<Store>, format: Format, max_bytes: u64) -> StoredFiles {
    let memory = Arc::new(MemoryFiles::new("lane"));
    let spec = document(&memory, format, max_bytes);
    exported_before(store, &spec).await;
    memory.files(&record(&spec))
}

/// A document in JSON has the time of its export in it; everything else must be the same byte for byte.
fn assert_same(files: &StoredFiles, wanted: &StoredFiles, format: Format) {
    let digests = |files: &StoredFiles| files.iter().map(|(path, file)| (path.clone(), file.0)).collect::<Vec<_>>();
    assert_eq!(digests(files), digests(wanted), "{format:?}");
    for (path, (_, bytes)) in files {
        let items = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.find("\"items\"").map_or(text.clone(), |at| text[at..].to_owned())
        };
        assert_eq!(items(bytes), items(&wanted[path].1), "{path}");
    }
}

fn names(files: &StoredFiles) -> Vec<String> {
    let text: String = files.values().map(|(_, bytes)| String::from_utf8_lossy(bytes)).collect();
    ["u0", "u1", "v0", "v1"].into_iter().filter(|uid| text.contains(&format!("cm-{uid}"))).map(str::to_owned).collect()
}

#[tokio::test]
async fn what_can_be_listed_is_exported_although_a_part_was_lost_from_the_start() {
    let memory = Arc::new(MemoryFiles::new("lane"));
    let spec = document(&memory, Format::Yaml, 0);
    let mut bench = Bench::new(lost());
    bench.store.upsert(row("a", "two", "v0", 1));
    bench.exporter.set_binding(spec.clone());
    bench.exported().await;
    bench.store.upsert(row("a", "two", "v1", 1));
    bench.exported().await;
    assert_eq!(
        (memory.messages(), names(&memory.files(&record(&spec)))),
        (vec!["inv: 1".into(), "inv: 2".into()], vec!["v0".into(), "v1".into()])
    );
    bench.store.upsert(odd_row("u0"));
    bench.store.complete_list(&key("a"), Some("one"), &|_| true);
    while names(&memory.files(&record(&spec))) != ["u0", "v0", "v1"] {
        bench.exported().await;
    }
}

#[tokio::test]
async fn rows_of_a_part_lost_across_a_restart_stay_byte_for_byte_while_others_change() {
    for (format, path) in FORMATS.into_iter().zip(PATHS) {
        let memory = Arc::new(MemoryFiles::new("lane"));
        let spec = document(&memory, format, 0);
        exported_before(whole(), &spec).await;
        let mut bench = Bench::new(lost());
        bench.store.upsert(row("a", "two", "v0", 7));
        bench.exporter.set_binding(spec.clone());
        bench.exported().await;
        let full = whole();
        full.upsert(row("a", "two", "v0", 7));
        assert_same(&memory.files(&record(&spec)), &files_of(full.clone(), format, 0).await, format);

        // From here on they are remembered: a file that could not be read back does not matter.
        memory.tamper(|tree| drop(tree.insert(path.into(), b"odd".to_vec())));
        bench.store.upsert(row("a", "two", "v1", 1));
        bench.exported().await;
        full.upsert(row("a", "two", "v1", 1));
        assert_same(&memory.files(&record(&spec)), &files_of(full, format, 0).await, format);
        assert_eq!(memory.messages(), ["inv: 3", "inv: 3", "inv: 4"]);

        // As soon as the part is listed, the store decides.
        bench.store.upsert(odd_row("u1"));
        bench.store.complete_list(&key("a"), Some("one"), &|uid| *uid == Uid::parse("u1"));
        while names(&memory.files(&record(&spec))) != ["u1", "v0", "v1"] {
            bench.exported().await;
        }
        assert!(memory.messages().contains(&"inv: 3".to_owned()));
    }
}

#[tokio::test]
async fn an_unchanged_document_is_not_written_again_because_a_part_was_lost() {
    let memory = Arc::new(MemoryFiles::new("lane"));
    let spec = document(&memory, Format::Json, 0);
    exported_before(whole(), &spec).await;
    let mut bench = Bench::new(lost());
    bench.store.upsert(row("a", "two", "v0", 1));
    bench.exporter.set_binding(spec.clone());
    bench.exported().await;
    assert_eq!(memory.messages(), ["inv: 3"]);
}

#[tokio::test]
async fn rows_of_a_part_that_leaves_the_view_go_although_it_is_lost() {
    let memory = Arc::new(MemoryFiles::new("lane"));
    let spec = document(&memory, Format::Json, 0);
    for leave_by_inventory in [false, true] {
        exported_before(whole(), &spec).await;
        let mut bench = Bench::new(lost());
        bench.store.upsert(row("a", "two", "v0", 7));
        bench.exporter.set_binding(spec.clone());
        bench.exported().await;
        assert_eq!(names(&memory.files(&record(&spec))), ["u0", "u1", "v0"]);
        if leave_by_inventory {
            let only = NamespaceFilter::Only(Arc::new(["two".into()].into()));
            let view = View::new(vec![key("a")], only, Dedupe::KeepAll);
            bench.exporter.set_binding(BindingSpec { view, ..spec.clone() });
        } else {
            bench.store.set_wanted(&key("a"), wanted(&["two"]));
        }
        while names(&memory.files(&record(&spec))) != ["v0"] {
            bench.exported().await;
        }
        bench.exporter.stop(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_document_that_cannot_be_read_back_is_not_overwritten() {
    let memory = Arc::new(MemoryFiles::new("lane"));
    let spec = document(&memory, Format::Json, 0);
    exported_before(whole(), &spec).await;
    let path = "inventory/shop/inv.json";
    let good = memory.tree()[path].clone();
    memory.tamper(|tree| drop(tree.insert(path.into(), b"<<<<<<< secret".to_vec())));
    let mut bench = Bench::new(lost());
    bench.exporter.set_binding(spec.clone());
    let error = bench.failed().await;
    assert!(matches!(error.class, Class::Transient { .. }), "{error:?}");
    assert!(error.message.starts_with("inventory/shop/inv.json cannot be read back (it is neither"), "{error}");
    assert!(error.message.contains("restore the file") && !error.message.contains("secret"), "{error}");
    assert_eq!(memory.tree()[path], b"<<<<<<< secret");
    assert_eq!(memory.messages(), ["inv: 3"]);
    // Repaired, it goes on by itself.
    memory.tamper(|tree| drop(tree.insert(path.into(), good)));
    bench.exported().await;
    assert_eq!((memory.messages().len(), names(&memory.files(&record(&spec)))), (2, vec!["u0".into(), "u1".into()]));
    bench.exporter.stop(Duration::from_secs(1)).await;

    // Deleted, it goes on without the rows that were only there.
    memory.tamper(|tree| drop(tree.remove(path)));
    let mut bench = Bench::new(lost());
    bench.store.upsert(row("a", "two", "v0", 1));
    bench.exporter.set_binding(spec.clone());
    bench.exported().await;
    assert_eq!(names(&memory.files(&record(&spec))), ["v0"]);
}

#[tokio::test]
async fn a_file_that_is_too_large_to_be_read_back_stops_the_binding() {
    let memory = Arc::new(MemoryFiles::new("lane"));
    let spec = document(&memory, Format::Json, 0);
    exported_before(whole(), &spec).await;
    let size = usize::try_from(LARGEST_READ).unwrap() + 1;
    memory.tamper(|tree| drop(tree.insert("inventory/shop/inv.json".into(), vec![b' '; size])));
    let mut bench = Bench::new(lost());
    bench.exporter.set_binding(spec);
    let error = bench.failed().await;
    assert_eq!(error, SinkError::too_large_to_read("inventory/shop/inv.json", LARGEST_READ + 1));
    assert_eq!(error.class, Class::Terminal);
}

#[tokio::test]
async fn every_part_of_a_divided_document_is_read() {
    for format in FORMATS {
        let memory = Arc::new(MemoryFiles::new("lane"));
        let limit = if format == Format::Json { 700 } else { 450 };
        let spec = document(&memory, format, limit);
        exported_before(whole(), &spec).await;
        assert!(memory.files(&record(&spec)).len() > 1, "{format:?}");
        let mut bench = Bench::new(lost());
        bench.exporter.set_binding(spec.clone());
        bench.exported().await;
        let full = whole();
        full.remove(&key("a"), &Uid::parse("v0"), Cause::Observed);
        assert_same(&memory.files(&record(&spec)), &files_of(full, format, limit).await, format);
    }
}

#[tokio::test]
async fn an_older_document_of_another_layout_is_read_and_then_goes() {
    for layout in [Mode::Document, Mode::PerResource] {
        let memory = Arc::new(MemoryFiles::new("lane"));
        let spec = document(&memory, Format::Yaml, 0);
        let older = kollect_export::layout::DocumentSpec {
            mode: layout,
            format: Format::Json,
            ..spec.document.as_deref().cloned().unwrap()
        };
        exported_before(whole(), &BindingSpec { document: Some(Arc::new(older)), ..spec.clone() }).await;
        let mut bench = Bench::new(lost());
        bench.store.upsert(row("a", "two", "v0", 1));
        bench.exporter.set_binding(spec.clone());
        bench.exported().await;
        assert_same(&memory.files(&record(&spec)), &files_of(whole(), Format::Yaml, 0).await, Format::Yaml);
    }
}

#[tokio::test]
async fn one_object_of_two_targets_stays_one_row_while_the_later_target_is_lost() {
    let memory = Arc::new(MemoryFiles::new("lane"));
    let view = View::new(vec![key("a"), key("b")], NamespaceFilter::All, Dedupe::ByResourceUid);
    let spec = BindingSpec { view, ..document(&memory, Format::Json, 0) };
    let both = |later: Coverage| {
        let store = Arc::new(Store::new());
        for target in ["a", "b"] {
            store.ensure_target(&key(target));
            store.set_wanted(&key(target), wanted(&["one"]));
        }
        store.upsert(row("a", "one", "u0", 1));
        store.complete_list(&key("a"), None, &|_| true);
        if later == Coverage::Synced {
            store.upsert(row("b", "one", "u0", 2));
        }
        store.set_coverage(&key("b"), "one", later);
        store
    };
    exported_before(both(Coverage::Synced), &spec).await;
    let mut bench = Bench::new(both(Coverage::Lost("forbidden".into())));
    bench.store.upsert(row("a", "one", "u1", 1));
    bench.exporter.set_binding(spec.clone());
    bench.exported().await;
    assert_eq!(memory.messages(), ["inv: 1", "inv: 2"]);
    let text = String::from_utf8(memory.tree()["inventory/shop/inv.json"].clone()).unwrap();
    assert!(text.contains("{\"v\":2}") && text.matches("cm-u0").count() == 1, "{text}");
}

#[tokio::test]
async fn a_single_export_carries_rows_too_and_waits_for_a_first_list() {
    let memory = Arc::new(MemoryFiles::new("lane"));
    let spec = document(&memory, Format::Ndjson, 0);
    exported_before(whole(), &spec).await;
    let (store, settings, cancel) = (lost(), ExportSettings::default(), CancellationToken::new());
    export_once(&store, &spec, settings, &AlwaysWrite, &cancel).await.unwrap();
    assert_eq!(names(&memory.files(&record(&spec))), ["u0", "u1"]);
    store.set_coverage(&key("a"), "two", Coverage::Pending);
    let mut bench = Bench::new(store);
    bench.exporter.set_binding(spec);
    let OutcomeResult::Waiting(why) = bench.next().await.result else { panic!("a document without a part") };
    assert_eq!(why, "waiting for the first list of target shop/a in two");
}
