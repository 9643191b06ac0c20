//! Hostile texts end in a fault, in little time, memory and stack.

use super::{json, value, yaml};
use kollect_manifest::limits::{MAX_DEPTH, MAX_NODES};

/// Runs on a stack as small as a spawned thread may have.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(test).expect("a thread");
    thread.join().expect("no overflow");
}

#[test]
fn nesting_is_limited_in_every_notation() {
    on_a_small_stack(|| {
        for levels in [MAX_DEPTH + 1, 1000, 100_000] {
            let block: String = (0..levels.min(2000)).flat_map(|n| [" ".repeat(n), "a:\n".to_owned()]).collect();
            for text in [
                format!("{}1{}", "[".repeat(levels), "]".repeat(levels)),
                format!("{}1{}", "{a: ".repeat(levels), "}".repeat(levels)),
                format!("{}1", "- ".repeat(levels)),
                format!("{}1", "? ".repeat(levels)),
                format!("{}1", "[{a: ".repeat(levels)),
                block,
            ] {
                let found = yaml(&format!("{text}\n---\nkind: A\n"));
                assert_eq!(found.faults.len(), 1, "{levels}: {}", &text[..20]);
                assert!(
                    found.faults[0].contains("nested deeper") || found.faults[0].contains("key of a map"),
                    "{:?}",
                    found.faults
                );
                assert_eq!(found.names(), ["A ?"]);
            }
            let found = json(&format!("{}1{}", "[".repeat(levels), "]".repeat(levels)));
            assert!(found.faults[0].contains("nested deeper"), "{:?}", found.faults);
        }
        let deepest = format!("{}1{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert_eq!(value(&deepest), serde_json::from_str::<serde_json::Value>(&deepest).unwrap());
        let deepest = format!("{}1", "- ".repeat(MAX_DEPTH));
        assert!(value(&deepest).is_array());
    });
}

#[test]
fn aliases_are_limited_by_their_expansion() {
    let text = "x".repeat(1 << 20);
    let many = format!("a: &a {text}\nb: [{}]\n", vec!["*a"; 3000].join(","));
    assert!(yaml(&many).faults[0].contains("anchors and aliases"));
    let mut doubling = "a0: &a0 [x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..60 {
        doubling +=
            &["a", &n.to_string(), ": &a", &n.to_string(), " [", &vec![format!("*a{}", n - 1); 9].join(","), "]\n"]
                .concat();
    }
    assert!(yaml(&doubling).faults[0].contains("anchors and aliases"));
    let mut chain = format!("a0: &a0 {}1{}\n", "[".repeat(60), "]".repeat(60));
    for n in 1..5 {
        let inner = format!("{}*a{}{}", "[".repeat(60), n - 1, "]".repeat(60));
        chain += &["a", &n.to_string(), ": &a", &n.to_string(), " ", &inner, "\n"].concat();
    }
    assert!(yaml(&chain).faults[0].contains("nested deeper"));
    let merged = format!("a: &a {{k: {text}}}\nb:\n{}", "- {<<: *a}\n".repeat(3000));
    assert!(yaml(&merged).faults[0].contains("anchors and aliases"));
    let few = format!("a: &a {text}\nb: [{}]\n", ["*a"; 8].join(","));
    assert_eq!(yaml(&few).objects.len(), 1);
}

#[test]
fn empty_documents_and_long_comments_cost_nothing() {
    on_a_small_stack(|| {
        let text = format!("{}kind: A\n{}", "---\n".repeat(20_000), "---\n# x\n".repeat(20_000));
        assert_eq!(yaml(&text).names(), ["A ?"]);
        assert_eq!(yaml(&"...\n".repeat(20_000)).objects.len(), 0);
        assert_eq!(yaml(&"--- []\n".repeat(20_000)).faults.len(), 0);
    });
}

#[test]
fn an_object_has_a_largest_number_of_values() {
    let many = format!("[[{}]]", vec!["1"; MAX_NODES + 1].join(","));
    assert!(json(&many).faults[0].contains("keys and values"));
}
