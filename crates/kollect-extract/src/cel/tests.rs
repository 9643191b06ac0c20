//! Expressions against one object; both ways of evaluation against many; hostile expressions.

use super::*;
use crate::error::ErrorClass;
use serde_json::json;

fn object() -> Value {
    json!({
        "metadata": {"name": "cart", "namespace": "shop", "labels": {"app": "cart", "tier": "web"}, "finalizers": ["a", "b"]},
        "spec": {
            "replicas": 3, "ratio": 0.5, "big": 9_007_199_254_740_993_i64, "huge": 18_446_744_073_709_551_615_u64,
            "paused": false, "nothing": null, "empty": {}, "since": "2024-01-02T03:04:05.5Z",
            "containers": [
                {"name": "web", "image": "r/a:1", "ports": [80, 81]},
                {"name": "side", "image": "r/b:2", "ports": []},
            ],
        },
    })
}

fn plain(out: ProgramOutput<'_>) -> Value {
    match out {
        ProgramOutput::Ref(value) => value.clone(),
        ProgramOutput::Made(value) => value,
        ProgramOutput::List(values) => values.into_iter().cloned().collect(),
    }
}

fn run(source: &str) -> Result<Value, String> {
    let object = object();
    crate::budget::reset();
    let program = Program::compile(source).map_err(|error| format!("compile: {}", error.message))?;
    let result =
        program.evaluate(&object).map(plain).map_err(|error| format!("{}: {}", error.class.label(), error.message));
    // The fields that the mask keeps must give the same result.
    let kept = program.mask().decoded(&object);
    let masked =
        program.evaluate(&kept).map(plain).map_err(|error| format!("{}: {}", error.class.label(), error.message));
    assert_eq!(masked, result, "{source} over {kept}");
    result
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn expressions_have_the_values_of_cel() {
    let cases = [
        (r#"object.metadata.namespace + "/" + object.metadata.name"#, json!("shop/cart")),
        ("string(1e21) + string(1e6) + string(-1234567.5)", json!("1e+211e+06-1.2345675e+06")),
        ("string(123456.0) + ' ' + string(0.0001) + ' ' + string(0.00001)", json!("123456 0.0001 1e-05")),
        ("string(1.0 / 0.0) + string(-1.0 / 0.0) + string(0.0 / 0.0) + string(1e300)", json!("+Inf-InfNaN1e+300")),
        (
            "[string(1), string(2u), string(true), string(b'a'), string('x'), string(duration('1h'))]",
            json!(["1", "2", "true", "a", "x", "3600s"]),
        ),
        (
            "['a,b,c'.split(',', 2), 'añb'.split(''), 'abc'.split('', 2), 'a'.split(',', 0), ''.split(''), 'a,'.split(',')]",
            json!([["a", "b,c"], ["a", "ñ", "b"], ["a", "bc"], [], [], ["a", ""]]),
        ),
        (
            "['ñabñab'.indexOf('ab'), 'abab'.indexOf('ab', 1), 'abab'.indexOf('', 9), 'a'.indexOf('z')]",
            json!([1, 2, 4, -1]),
        ),
        (
            "['ñabñab'.lastIndexOf('ab'), 'abab'.lastIndexOf('ab', 1), 'abab'.lastIndexOf('', 9), 'añb'.lastIndexOf('b', 2)]",
            json!([4, 0, 4, 2]),
        ),
        (
            "[[1, [2, [3]]].flatten(), [[1, [2, [3]]].flatten(2)], [1, 1u, 1.0, 'a', 'a'].distinct()]",
            json!([[1, 2, [3]], [[1, 2, 3]], [1, "a"]]),
        ),
        ("size(object.spec.containers)", json!(2)),
        ("object.spec.containers.size() + size('ab') + size({'a': 1})", json!(5)),
        ("has(object.metadata.annotations)", json!(false)),
        ("has(object.metadata.labels) && has(object.metadata.labels.app)", json!(true)),
        ("object.spec.containers.map(c, c.image)", json!(["r/a:1", "r/b:2"])),
        ("object.spec.containers.map(c, c.name == 'web', c.image)", json!(["r/a:1"])),
        ("object.spec.containers.filter(c, size(c.ports) > 0)", json!([object()["spec"]["containers"][0]])),
        ("object.spec.containers.exists(c, c.name.startsWith('si'))", json!(true)),
        ("object.spec.containers.all(c, c.image.matches('^r/[ab]:[0-9]$'))", json!(true)),
        ("object.spec.containers.exists_one(c, matches(c.image, 'a'))", json!(true)),
        ("object.spec.replicas + 1", json!(4)),
        ("object.spec.replicas == 3.0", json!(true)),
        ("object.spec.big", json!(9_007_199_254_740_993_i64)),
        ("object.spec.huge", json!(18_446_744_073_709_551_615_u64)),
        ("[object.spec.huge]", json!([18_446_744_073_709_551_615_u64])),
        ("double(object.spec.replicas) * 1.5", json!(4.5)),
        ("type(object.spec.replicas) == int", json!(true)),
        ("object.spec.nothing", json!(null)),
        ("object.spec.nothing == null", json!(true)),
        ("object.metadata.labels['app']", json!("cart")),
        ("object.spec.containers[1].name", json!("side")),
        ("object.spec.containers[object.spec.replicas - 2].name", json!("side")),
        ("object.?metadata.?annotations.?x.orValue('none')", json!("none")),
        ("object.?metadata.?annotations", json!(null)),
        ("object.?metadata.?name", json!("cart")),
        ("object.metadata.labels[?'app'].optMap(v, v + '!')", json!("cart!")),
        ("object.metadata.labels[?'zz'].optMap(v, v + '!')", json!(null)),
        ("'app' in object.metadata.labels", json!(true)),
        ("'x' in object.metadata.finalizers", json!(false)),
        ("['a', 'b'] == object.metadata.finalizers", json!(true)),
        ("object.metadata.finalizers == ['a', 'b']", json!(true)),
        ("object.metadata.finalizers in [['a', 'b']]", json!(true)),
        ("{'app': 'cart', 'tier': 'web'} == object.metadata.labels", json!(true)),
        ("object.metadata.labels != {'app': 'cart', 'tier': 'db'}", json!(true)),
        ("object.metadata.finalizers + ['c']", json!(["a", "b", "c"])),
        ("['c'] + object.metadata.finalizers", json!(["c", "a", "b"])),
        ("object.metadata.finalizers.join(',')", json!("a,b")),
        ("object.metadata.labels.map(k, k + '=' + object.metadata.labels[k])", json!(["app=cart", "tier=web"])),
        (
            "{'a': {'b': [1, 2u, 3.5, null, {'c': true}]}, 1: 'n', true: b'ab'}",
            json!({"a": {"b": [1, 2, 3.5, null, {"c": true}]}, "1": "n", "true": "YWI="}),
        ),
        ("timestamp(object.spec.since)", json!("2024-01-02T03:04:05.5Z")),
        ("duration('90m')", json!("5400s")),
        ("[timestamp('2024-01-01T00:00:00Z')]", json!(["2024-01-01T00:00:00Z"])),
        ("timestamp(object.spec.since).getFullYear()", json!(2024)),
        ("'a,b'.split(',')", json!(["a", "b"])),
        ("'abc'.replace('b', 'xx').upperAscii()", json!("AXXC")),
        ("'aaa'.replace('a', 'b', 2)", json!("bba")),
        ("'%s-%d'.format([object.metadata.name, 3])", json!("cart-3")),
        ("lists.range(3)", json!([0, 1, 2])),
        ("[3, 1, 2].sort()", json!([1, 2, 3])),
        ("object.spec.containers.sortBy(c, c.name).map(c, c.name)", json!(["side", "web"])),
        ("math.greatest(1, object.spec.replicas, 2) + math.least([5, 4])", json!(7)),
        ("base64.encode(b'ab')", json!("YWI=")),
        ("[1, 2, 2].distinct().reverse()", json!([2, 1])),
        ("type(1)", json!("int")),
        ("true || object.spec.zzz", json!(true)),
        ("object.spec.zzz && false", json!(false)),
        ("has(object.spec.paused) ? object.spec.paused : true", json!(false)),
        ("string(object.spec.replicas)", json!("3")),
        (
            "object.spec.containers.map(c, {'n': c.name, 'p': c.ports.map(p, string(p))})",
            json!([{"n": "web", "p": ["80", "81"]}, {"n": "side", "p": []}]),
        ),
        ("object.spec.containers.map(object, object.name)", json!(["web", "side"])),
        ("object.spec.empty.map(c, c.x)", json!([])),
    ];
    for (source, expected) in cases {
        assert_eq!(run(source), Ok(expected), "{source}");
    }
    assert_eq!(run("object"), Ok(object()));
}

#[test]
fn evaluation_errors_name_no_values() {
    let cases = [
        ("object.spec.missing", "missing key"),
        ("object.metadata.labels[object.metadata.name]", "missing key"),
        ("object.spec.containers[7]", "out of range"),
        ("object.spec.containers[-1]", "out of range"),
        ("object.spec.replicas + 'x'", "wrong type"),
        ("object.metadata.name + 1", "wrong type"),
        ("object.metadata.name.size", "wrong type"),
        ("has(object.metadata.name.x)", "wrong type"),
        ("object.spec.replicas ? 1 : 2", "wrong type"),
        ("1 / 0", "function error"),
        ("int(object.metadata.name)", "function error"),
        ("'a'.matches('(')", "function error"),
        ("0.0 / 0.0", "not JSON"),
        ("object.metadata.labels.map(k, k.app)", "wrong type"),
        ("9223372036854775807 + 1", "function error"),
    ];
    for (source, class) in cases {
        let error = run(source).unwrap_err();
        assert!(error.starts_with(class), "{source}: {error}");
        assert!(!error.contains("cart"), "{source}: {error}");
    }
}

#[test]
fn what_cannot_work_does_not_compile() {
    let cases = [
        ("obj.metadata.name", "unknown variable \"obj\"", Some(0)),
        ("object.a && self.b", "unknown variable \"self\"", Some(12)),
        ("quality(object.a)", "unknown function \"quality\"", Some(0)),
        ("object.a.foo()", "unknown function \"foo\"", Some(9)),
        ("math.cube(1)", "unknown function \"math.cube\"", Some(5)),
        ("[1].map(x, y)", "unknown variable \"y\"", Some(11)),
        ("[1].map(x, x) + x", "unknown variable", None),
        ("object.all(x)", "wrong number", None),
        ("__tick()", "unknown function", None),
        ("object.a +", "CEL syntax", None),
        ("", "CEL syntax", None),
        ("Foo{a: 1}", "messages cannot be built", Some(0)),
        ("[1].sortBy(1, 2)", "variable name", None),
        ("has(object)", "CEL syntax", None),
    ];
    for (source, message, offset) in cases {
        let error = Program::compile(source).unwrap_err();
        assert!(error.message.contains(message), "{source}: {error:?}");
        if offset.is_some() {
            assert_eq!(error.offset, offset, "{source}");
        }
    }
}

/// Runs on a stack as small as that of a worker thread.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(test).unwrap().join().unwrap();
}

#[test]
fn deep_expressions_are_refused_and_allowed_ones_do_not_overflow() {
    on_a_small_stack(|| {
        let object = object();
        for unit in [
            "object{}",
            "object{.a}",
            "{1+}1",
            "object{[0]}",
            "object{.size()}",
            "{!}true",
            "{-}1",
            "{!-}1",
            "{(}1{)}",
            "{[}1{]}",
            "{true ? }1{ : 2}",
            "{1 ? 2 : }3",
            "{[1].all(x, }true{)}",
            "{1 == }1",
            "{true && }true",
            "{true || false && }true",
            "{{'a': }1{}}",
            "object{.map(x, x)}",
            "object{.?a}",
            "{f(}1{)}",
            "{1 - -}1",
            "{a.b.c(}1{).d.e}",
            "object{.optMap(v, v)}",
            "object{.sortBy(v, v)}",
        ] {
            for times in [1, 5, 10, 15, 20, 30, 40, 50, 60, 90, 120, 400, 4000] {
                let mut source = String::new();
                let mut rest = unit;
                while let Some((before, after)) = rest.split_once('{') {
                    source.push_str(before);
                    let end = after.find('}').unwrap_or(after.len());
                    let end = if after[end..].starts_with("}}") { end + 1 } else { end };
                    source.push_str(&after[..end].repeat(times));
                    rest = after.get(end + 1..).unwrap_or("");
                }
                source.push_str(rest);
                if let Ok(program) = Program::compile(&source) {
                    let _ = program.evaluate(&object);
                    let flat = source.contains("&&");
                    assert!(times < 200 || flat || unit == "object{}", "{unit} × {times} compiled");
                }
            }
        }
    });
}

#[test]
fn long_flat_conditions_are_allowed() {
    let source = vec!["has(object.metadata.name)"; 140].join(" && ");
    assert_eq!(run(&source), Ok(json!(true)));
    let list = format!("[{}].size()", vec!["object.metadata.name"; 150].join(", "));
    assert_eq!(run(&list), Ok(json!(150)));
}

#[test]
fn hostile_expressions_end_with_an_error_soon() {
    on_a_small_stack(|| {
        let digits = "[0,1,2,3,4,5,6,7,8,9]";
        let mut loops = "true".to_owned();
        for i in 0..7 {
            loops = format!("{digits}.all(x{i}, {loops})");
        }
        let mut doubling = "'aaaaaaaaaa'".to_owned();
        for i in 0..7 {
            doubling = format!("[{doubling}].map(x{i}, x{i}+x{i}+x{i}+x{i}+x{i}+x{i}+x{i}+x{i})[0]");
        }
        let mut lists = "[1]".to_owned();
        for i in 0..7 {
            lists = format!("[{lists}].map(x{i}, x{i}+x{i}+x{i}+x{i}+x{i}+x{i}+x{i}+x{i})[0]");
        }
        let mut nested = "'aaaaaaaaaa'".to_owned();
        for i in 0..9 {
            nested = format!("[{nested}].map(x{i}, [x{i}, x{i}, x{i}, x{i}, x{i}, x{i}, x{i}, x{i}])");
        }
        let object = json!({"s": "a".repeat(200_000), "l": vec!["a"; 20_000]});
        let sources = [
            loops,
            doubling,
            lists,
            nested,
            "object.s.replace('a', object.s)".to_owned(),
            "object.l.join(object.s)".to_owned(),
            "lists.range(1000000000)".to_owned(),
            "object.l.all(a, object.l.all(b, object.l.all(c, true)))".to_owned(),
            "object.l.exists(a, object.l == object.l && false)".to_owned(),
            "object.l.map(a, object.s.lowerAscii())".to_owned(),
            "object.l.map(a, object.s)".to_owned(),
            "object.l.distinct()".to_owned(),
            "object.l.exists(a, 'b' in object.l)".to_owned(),
            "'aaaa'.matches('(((a{100}){100}){100}){100}')".to_owned(),
            "object.l.all(a, object.s.matches(a + 'x*' + object.s))".to_owned(),
            "[object.s, object.s, object.s]".to_owned(),
        ];
        for source in sources {
            let program = Program::compile(&source).unwrap_or_else(|error| panic!("{source:.60}: {error:?}"));
            let error = program.evaluate(&object).unwrap_err();
            assert!(matches!(error.class, ErrorClass::Limit | ErrorClass::Function), "{source:.60}: {error:?}");
        }
    });
}

/// A small generator, so that a failure can be repeated by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn json(&mut self, depth: u32) -> Value {
        match self.below(if depth == 0 { 7 } else { 10 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.below(3)),
            3 => json!(-1),
            4 => json!(self.pick(&[0.0, 0.5, 1.0])),
            5 => json!(self.pick(&["", "a", "b"])),
            6 => json!(self.pick(&[u64::MAX, 9_223_372_036_854_775_808])),
            7 => (0..self.below(3)).map(|_| self.json(depth - 1)).collect(),
            _ => Value::Object(
                ["a", "b", "c"]
                    .iter()
                    .map(|k| (k, self.below(3)))
                    .collect::<Vec<_>>()
                    .into_iter()
                    .filter(|(_, n)| *n > 0)
                    .map(|(k, _)| ((*k).to_owned(), self.json(depth - 1)))
                    .collect(),
            ),
        }
    }

    fn path(&mut self) -> String {
        let steps = (0..self.below(4)).map(|_| self.pick(&[".a", ".b", ".c", "['a']", "[0]", "[1]"]));
        format!("object{}", steps.collect::<String>())
    }

    fn expression(&mut self, depth: u32) -> String {
        if depth == 0 {
            return match self.below(4) {
                0 => self.pick(&["null", "true", "false", "0", "1", "-1", "0.5", "1.0", "'a'", "''", "1u"]).to_owned(),
                1 => format!("has({}.{})", self.path(), self.pick(&["a", "b"])),
                _ => self.path(),
            };
        }
        let d = depth - 1;
        match self.below(9) {
            0 => format!("({} == {})", self.expression(d), self.expression(d)),
            1 => format!("({} != {})", self.expression(d), self.expression(d)),
            2 => format!("({} ? {} : {})", self.expression(d), self.expression(d), self.expression(d)),
            3 => format!("({} && {})", self.expression(d), self.expression(d)),
            4 => format!("({} || {})", self.expression(d), self.expression(d)),
            5 => format!("!({})", self.expression(d)),
            6 => format!("size({})", self.expression(d)),
            7 => format!("{}.map(x, x.{})", self.path(), self.pick(&["a", "b.a", "c[0]"])),
            _ => self.expression(d),
        }
    }
}

#[test]
fn the_direct_form_and_the_interpreter_agree() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut values = 0;
    for _ in 0..2000 {
        let seed = random.0;
        let source = random.expression(2);
        let expr = parse(&source).unwrap();
        let lowered = lower::lower(&expr).unwrap_or_else(|| panic!("{source} is not lowered"));
        let program = Program::compile(&source).unwrap();
        let interpreted = rewrite::rewrite(expr);
        for _ in 0..4 {
            let object = json!({"a": random.json(3), "b": random.json(2), "c": random.json(2)});
            let direct = lowered.evaluate(&object).map(plain).map_err(|_| "error");
            let other = interpret(&interpreted, &object).map_err(|_| "error");
            let masked = program.mask().decoded(&object);
            let over_masked = lowered.evaluate(&masked).map(plain).map_err(|_| "error");
            assert_eq!(direct, other, "seed {seed:#x}: {source} over {object}");
            assert_eq!(direct, over_masked, "seed {seed:#x}: {source} over {object} masked {masked}");
            values += usize::from(direct.is_ok());
        }
    }
    assert!(values > 500, "only {values} evaluations had a value");
}
