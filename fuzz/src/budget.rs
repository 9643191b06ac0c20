//! Expressions over objects that are made to cost much: no row beyond its limit, no memory beyond a multiple of the
//! object, no work beyond what the budget says, whatever the expression.

use crate::targets::{Answer, answer, extractor, kind, shape};
use kollect_extract::{DEFAULT_MAX_ROW_BYTES, ErrorClass, Predicate, RedactedObject, Scratch};
use kollect_model::Gvk;
use serde_json::{Value, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub const EXPRESSIONS: &[&str] = &[
    "$.data.l..[0:1]..[0:1]",
    "$.data.l..[0:1]..[?(@..zz)]",
    "$..*..*",
    "$.data['x','y']",
    "$",
    "cel:object.data.x.findAll(\".*[^A-Z]|[A-Z]\").size()",
    "cel:object.data.x.matches('[01]*1[01]{90}[^01]')",
    "cel:object.data.n.map(a, object.data.n.map(b, [a, b])).flatten().distinct()",
    "cel:[object.data.n].map(b, lists.range(9999).map(i, b)).size()",
    "cel:lists.range(999).map(i, '%s %.90f'.format([object, 1e300])).join('')",
    "cel:object.data.m.transformMap(k, v, object.data.m)",
    "cel:object.data.x.split('').sort().map(c, c + object.data.x)",
    "cel:object.data.x.indexOf(object.data.x + 'b') + object.data.x.lastIndexOf('ab')",
    "cel:object.data.n.sortBy(n, object.data.x + string(n))",
    "cel:[[object]].map(a, a + a).map(a, a + a).map(a, a + a).map(a, optional.of(a)).size()",
];

/// Bytes in use, the most of them, and how often memory was taken.
static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is handed to the allocator of the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(used, Relaxed);
        TAKEN.fetch_add(1, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most memory for one evaluation beside what was in use.
const MAX_PEAK: usize = 16 << 20;
/// Most allocations of one evaluation: a few for every step.
const MAX_TAKEN: usize = 6_000_000;

fn objects() -> Vec<Value> {
    let mut nested = json!([1]);
    for _ in 0..60 {
        nested = json!([nested, "xy"]);
    }
    let map: serde_json::Map<String, Value> = (0..2000).map(|i| (format!("key-{i}"), json!([i]))).collect();
    vec![
        json!({"data": {"x": "A".repeat(200_000), "y": "01".repeat(100_000), "n": [], "m": {}, "l": []}}),
        json!({"data": {"x": "ab", "y": "<&>", "n": (0..5000).collect::<Vec<i32>>(), "m": map, "l": vec![nested; 20]}}),
    ]
}

/// One evaluation as an attribute and as a predicate of every object.
pub fn check() -> impl FnMut(&[u8]) -> Answer {
    let gvk = Gvk::new("example.com", "v1", "X");
    let objects: Vec<RedactedObject> =
        objects().iter().map(|object| RedactedObject::of(&gvk, object).expect("the object is JSON")).collect();
    let mut scratch = Scratch::default();
    move |input| {
        let text = String::from_utf8_lossy(input);
        let extractor = match extractor(&gvk, "x", text.to_string(), false) {
            Ok(extractor) => extractor,
            Err(error) => return answer(false, kind(&error)),
        };
        let predicate = text.strip_prefix("cel:").and_then(|text| Predicate::compile(text).ok());
        let mut shown = String::new();
        for object in &objects {
            let (used, taken) = (USED.load(Relaxed), TAKEN.load(Relaxed));
            PEAK.store(used, Relaxed);
            scratch.begin();
            if let Some(Err(error)) = predicate.as_ref().map(|predicate| predicate.eval(object)) {
                assert_eq!(error.class, ErrorClass::Limit, "{text:?}: {error}");
            }
            let row = extractor.extract_matched(object, &mut scratch);
            let grown = PEAK.load(Relaxed).saturating_sub(used);
            assert!(grown <= MAX_PEAK, "{text:?} takes {grown} bytes");
            let taken = TAKEN.load(Relaxed) - taken;
            assert!(taken <= MAX_TAKEN, "{text:?} allocates {taken} times");
            match row {
                Ok(row) => {
                    assert!(row.get().len() <= DEFAULT_MAX_ROW_BYTES, "{text:?}: {} bytes", row.get().len());
                    shown.push_str(&shape(&row.get().chars().take(64).collect::<String>()));
                }
                Err(error) => shown.push_str(&kind(&error.to_string())),
            }
        }
        answer(true, shown)
    }
}
