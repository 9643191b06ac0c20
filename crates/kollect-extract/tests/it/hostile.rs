//! Expressions and objects with excessive cost: each ends with a row within the limit or with an exceeded limit.
//!
//! `cargo test -p kollect-extract --profile fast --test it hostile -- --nocapture --test-threads 1` prints what each costs.

use kollect_extract::{
    AttributeSource, DEFAULT_MAX_ROW_BYTES, ErrorClass, ExtractError, Extractor, ProfileSource, RedactedObject, Scratch,
};
use kollect_model::Gvk;
use serde_json::{Value, json};
use std::time::Instant;

pub(crate) fn compile(paths: &[String]) -> Result<Extractor, String> {
    let attributes: Vec<AttributeSource> = paths
        .iter()
        .enumerate()
        .map(|(i, path)| AttributeSource { name: format!("a{i}"), path: path.clone(), optional: i % 2 == 1 })
        .collect();
    let source = ProfileSource {
        gvk: &Gvk::new("example.com", "v1", "Thing"),
        attributes: &attributes,
        scrub_keys: &[],
        allow_secret_extraction: false,
        resource: None,
    };
    Extractor::compile(&source).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// Most memory that this process had since the last call, in KiB. Zero where the kernel does not report it.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default().to_owned();
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

fn redacted(object: &Value) -> RedactedObject {
    RedactedObject::of(&Gvk::new("example.com", "v1", "Thing"), object).unwrap()
}

fn run(paths: &[String], object: &Value) -> Result<usize, ExtractError> {
    let object = redacted(object);
    let extractor = compile(paths).unwrap_or_else(|error| panic!("{:.80}: {error:.300}", paths[0]));
    let mut scratch = Scratch::default();
    let before = peak();
    let start = Instant::now();
    let result = extractor.extract(&object, &mut scratch).map(|row| row.get().len());
    let took = start.elapsed();
    let grown = peak().saturating_sub(before);
    let outcome = result.as_ref().map_or_else(ToString::to_string, |bytes| format!("{bytes} bytes"));
    eprintln!("{took:>10.1?} {grown:>8} KiB  {:.70} ×{}: {outcome:.110}", paths[0], paths.len());
    result
}

/// Nested lists, wide at the top: `{"data": {"l": [[…], …]}}`.
fn nested(width: usize, depth: usize) -> Value {
    let mut list = json!([1]);
    for _ in 0..depth {
        list = json!([list, "x".repeat(40)]);
    }
    json!({"data": {"l": vec![list; width]}})
}

fn texts() -> Value {
    let x: String =
        (0..900_000_u32).map(|i| if i.wrapping_mul(7919).wrapping_mul(i) % 3 == 0 { '1' } else { '0' }).collect();
    json!({
        "data": {"x": "A".repeat(900_000), "y": x, "u": "<".repeat(900_000), "w": "ab ".repeat(300_000)},
    })
}

fn lists() -> Value {
    let numbers: Vec<usize> = (0..20_000).rev().collect();
    let words: Vec<String> = (0..20_000).map(|i| format!("word-{}", i % 5000)).collect();
    let map: serde_json::Map<String, Value> =
        (0..10_000).map(|i| (format!("{}{i}", "k".repeat(60)), json!(i))).collect();
    json!({"data": {"n": numbers, "w": words, "m": map, "o": (0..5000).map(|i| json!({"a": i, "b": {"c": [i]}})).collect::<Vec<_>>()}})
}

fn limited(object: &Value, paths: &[&str]) {
    for path in paths {
        let error = run(&[(*path).to_owned()], object).unwrap_err();
        assert_eq!((error.class, error.attribute.as_str()), (ErrorClass::Limit, "a0"), "{path}: {error}");
        assert!(error.message.bytes().any(|b| b.is_ascii_digit()), "the limit has no number: {error}");
    }
}

fn limited_or_small(object: &Value, paths: &[&str]) {
    for path in paths {
        match run(&[(*path).to_owned()], object) {
            Ok(bytes) => assert!(bytes <= DEFAULT_MAX_ROW_BYTES, "{path}: {bytes} bytes"),
            Err(error) => assert!(error.class != ErrorClass::MissingKey, "{path}: {error}"),
        }
    }
}

#[test]
fn regular_expressions_spend_bytes_times_program_and_again_for_every_match() {
    let object = texts();
    limited(
        &object,
        &[
            "cel:object.data.x.findAll(\".*[^A-Z]|[A-Z]\").size()",
            "cel:object.data.y.matches(\"[01]*1[01]{900}[^01]\")",
            "cel:object.data.y.matches(\"[01]*1[01]{120}[^01]\")",
            "cel:object.data.y.find(\"[01]*1[01]{120}[^01]\")",
            "cel:object.data.x.findAll('A*B|A').size()",
            "cel:object.data.x.findAll('').size()",
            "cel:object.data.x.findAll('A').size()",
            "cel:lists.range(10000).all(i, object.data.x.matches('(A|AA)+$'))",
            "cel:lists.range(10000).all(i, 'a'.matches('a{' + string(i) + '}b') || true)",
        ],
    );
    limited_or_small(&object, &["cel:object.data.y.matches('^[01]+$')", "cel:object.data.w.find('[a-z]+ab$')"]);
}

#[test]
fn texts_spend_what_they_are_searched_for_and_what_is_built_of_them() {
    let object = texts();
    limited(
        &object,
        &[
            "cel:object.data.x.split('').size()",
            "cel:object.data.w.split(' ').map(w, w.split('')).size()",
            "cel:object.data.w.replace('a', object.data.w)",
            "cel:lists.range(9999).map(i, object.data.x.indexOf(object.data.x + 'b'))",
            "cel:lists.range(9999).all(i, object.data.x.lastIndexOf('b') < 0)",
            "cel:lists.range(9999).all(i, object.data.x.contains('b') == false)",
            "cel:lists.range(9999).all(i, object.data.x <= object.data.x)",
            "cel:lists.range(9999).all(i, object.data.x == object.data.x)",
            "cel:lists.range(9999).map(i, object.data.x + 'b').size()",
            "cel:lists.range(9999).map(i, object.data.x.lowerAscii()).size()",
            "cel:lists.range(9999).map(i, base64.encode(bytes(object.data.x))).size()",
            "cel:lists.range(9999).map(i, strings.quote(object.data.x)).size()",
            "cel:lists.range(9999).all(i, isQuantity(object.data.y) || isSemver(object.data.y) || isURL(object.data.x) || true)",
            "cel:lists.range(9999).all(i, object.data.x.charAt(899999) == 'A')",
            "cel:lists.range(9999).all(i, object.data.x.substring(1).size() > 0)",
            "cel:'%s%s%s%s%s%s'.format([object, object, object, object, object, object])",
            "cel:lists.range(200).map(i, '%s'.format([object.data.x])).size()",
            "cel:lists.range(9999).map(i, '%.100f'.format([1e300])).join('').size() + lists.range(9999).map(i, '%.100f'.format([1e300])).size()",
            "cel:lists.range(9999).map(i, url('http://h/?' + object.data.x)).size()",
            "cel:lists.range(9999).map(i, type(object.data.x) == string ? object.data.x : '').sort().size()",
            "cel:[object.data.x, object.data.x, object.data.x].join('')",
        ],
    );
    limited_or_small(
        &object,
        &[
            "cel:object.data.x.indexOf(object.data.x.substring(1, 450000) + 'b')",
            "cel:object.data.y.lastIndexOf(object.data.y.substring(1, 450000) + 'b')",
            "cel:int(object.data.y)",
            "cel:double('1e' + object.data.y)",
            "cel:timestamp(object.data.x)",
            "cel:duration(object.data.y + 's')",
            "cel:quantity(object.data.y)",
            "cel:quantity('1e999999999')",
            "cel:1e308 * 1e308",
            "cel:base64.decode(object.data.x)",
        ],
    );
}

#[test]
fn lists_and_maps_spend_what_they_copy_compare_and_build() {
    let object = lists();
    let wide = format!("cel:lists.range(9999).map(i, [{}]).size()", vec!["1"; 1900].join(","));
    let maps = format!(
        "cel:lists.range(9999).map(i, {{{}}}).size()",
        (0..300).map(|i| format!("'{i}':1")).collect::<Vec<_>>().join(",")
    );
    limited(
        &object,
        &[
            &wide,
            &maps,
            "cel:lists.range(1000).map(i, object.data.n).flatten().size()",
            "cel:lists.range(9999).map(i, object.data.n.slice(0, 19999)).size()",
            "cel:lists.range(9999).map(i, object.data.n.reverse()).size()",
            "cel:lists.range(9999).map(i, object.data.n + object.data.n).size()",
            "cel:lists.range(9999).all(i, object.data.w.sort().size() > 0)",
            "cel:lists.range(9999).all(i, object.data.w.sortBy(w, w).size() > 0)",
            "cel:object.data.n.distinct().size()",
            "cel:lists.range(9999).map(i, object.data.o).distinct().size()",
            "cel:object.data.o.all(o, object.data.o.exists(p, p == o))",
            "cel:object.data.n.all(n, n in object.data.n)",
            "cel:sets.equivalent(object.data.n, object.data.n)",
            "cel:lists.range(9999).all(i, object.data.m == object.data.m)",
            "cel:lists.range(9999).all(i, object == object)",
            "cel:lists.range(9999).map(i, object.data.m.transformMap(k, v, v)).size()",
            "cel:lists.range(9999).map(i, object.data.m.transformMapEntry(k, v, {k + string(i): v})).size()",
            "cel:[object.data.n.map(n, [n, n])].map(b, lists.range(9999).all(i, optional.of(b).optMap(v, v).hasValue()))",
            "cel:[object.data.n.map(n, n)].map(b, lists.range(9999).map(i, b)).size()",
            "cel:[object.data.n.map(n, n)].map(b, lists.range(9999).map(i, optional.of(b))).size()",
            "cel:lists.range(9999).all(i, object.data.w.max() > object.data.w.min())",
            "cel:lists.range(9999).all(i, object.data.w.join(',') != '')",
            "cel:object.data.n.map(a, object.data.n.map(b, object.data.n.map(c, a + b + c)))",
            "cel:lists.range(9999).all(i, (object.data.n == [] || true) && object.data.n.size() > 0 && object.data.w.exists(w, w == 'nothing') == false)",
            "cel:lists.range(1000000)",
        ],
    );
}

#[test]
fn jsonpath_spends_every_value_that_it_visits() {
    for object in [nested(1, 100), nested(100, 60), nested(20, 100)] {
        limited_or_small(
            &object,
            &[
                "$.data.l..[0:1]..[0:1]",
                "$.data.l..[0:1]..[?(@..zz)]",
                "$.data.l..[0:1]..[0:1]..[0:1]..[0:1]",
                "$..*..*..*..*",
                "$..[*]..[*]",
                "$.data.l[*]..[?(@..x)]",
                "$..['l','data','k']..['l','data','k']..*",
            ],
        );
    }
    let object = lists();
    limited_or_small(
        &object,
        &[
            "$.data.o[?(@..x)]",
            "$.data.o[?(@..c[0]>1)].a",
            "$.data.o[?(@.b.c[0]==4999)].a",
            "$.data.n[0:9223372036854775807]",
            "$.data.n[-9223372036854775808:]",
            "$.data.n[::9223372036854775807]",
            "$.data.*",
            "$..*",
            "$.data.o[*]['a','b']['c','d']",
        ],
    );
    limited(&nested(100, 60), &["$.data.l..[0:1]..[0:1]", "$.data.l..*..*"]);
}

#[test]
fn a_row_has_a_hard_size_whatever_it_is_made_of() {
    let object = texts();
    limited(&object, &["$.data", "$", "$.data.u", "$.data['x','y']", "$..*"]);
    let many: Vec<String> = vec!["$.data.x".to_owned(); 512];
    let error = run(&many, &object).unwrap_err();
    assert_eq!((error.class, error.attribute.as_str()), (ErrorClass::Limit, "a1"), "{error}");
    assert!(error.to_string().contains("larger than 1048576 bytes"), "{error}");
    let copies = vec!["cel:object.data.x".to_owned(); 512];
    assert_eq!(run(&copies, &object).unwrap_err().class, ErrorClass::Limit);
    let counts = vec!["cel:object.data.x.matches('^A+$') && object.data.y.contains('x')".to_owned(); 512];
    assert_eq!(run(&counts, &object).unwrap_err().class, ErrorClass::Limit);
    let small = compile(&["$.data.x".to_owned()]).unwrap();
    let object = redacted(&object);
    assert!(small.extract(&object, &mut Scratch::new(900_008)).is_ok());
    assert!(
        small.extract(&object, &mut Scratch::new(900_007)).unwrap_err().message.contains("larger than 900007 bytes")
    );
}

#[test]
fn a_union_names_each_branch_once() {
    for path in ["$.data['a','a']", "$.data['b','a','b'].x", "$.l[0,0]", "$.l[*,*]"] {
        let error = compile(&[path.to_owned()]).unwrap_err();
        assert!(error.contains("is repeated"), "{path}: {error}");
    }
    let path = format!("$.data[{}]", vec!["'a'"; 1000].join(","));
    assert!(compile(&[path]).unwrap_err().contains("is repeated"));
}

#[test]
fn predicates_and_attributes_of_an_object_share_one_budget() {
    let object = redacted(&lists());
    let predicate = |text: &str| kollect_extract::Predicate::compile(text).unwrap();
    let half = predicate("object.data.n.all(n, object.data.m.size() > 0) && object.data.w.all(w, w != '')");
    let mut scratch = Scratch::default();
    let mut passes = 0;
    scratch.begin();
    let error = loop {
        match half.eval(&object) {
            Ok(matches) => assert!(matches),
            Err(error) => break error,
        }
        passes += 1;
        assert!(passes < 100, "predicates spend nothing");
    };
    assert!(passes > 0, "one alone fits: {error}");
    assert!(error.to_string().starts_with("limit exceeded: matchPolicy: "), "{error}");
    let extractor = compile(&["$.data.n[0]".to_owned()]).unwrap();
    let spent = extractor.extract_matched(&object, &mut scratch).unwrap_err();
    assert_eq!(spent.class, ErrorClass::Limit);
    assert!(extractor.extract(&object, &mut scratch).is_ok(), "the next object has a budget of its own");
}
