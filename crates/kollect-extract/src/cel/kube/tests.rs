//! The functions of Kubernetes and the macros with two variables, as expressions.

use crate::cel::Program;
use crate::cel::lowered::ProgramOutput;
use serde_json::{Value, json};

fn object() -> Value {
    json!({
        "cpu": "1500m", "memory": "1Gi", "whole": 2, "ip": "10.1.2.3", "image": "r/app:1.2.3",
        "list": [3, 1, 2], "names": ["a", "b", "a"], "map": {"x": 1, "y": 2},
        "url": "https://u:p@example.com:8443/a%20b/c?q=1&q=2&r=x%20y#f",
    })
}

fn run(source: &str) -> Result<Value, String> {
    let object = object();
    let program = Program::compile(source).map_err(|error| format!("compile: {}", error.message))?;
    let plain = |out: ProgramOutput<'_>| match out {
        ProgramOutput::Ref(value) => value.clone(),
        ProgramOutput::Made(value) => value,
        ProgramOutput::List(values) => values.into_iter().cloned().collect(),
    };
    let class = |error: crate::error::EvalError| format!("{}: {}", error.class.label(), error.message);
    let result = program.evaluate(&object).map(plain).map_err(class);
    let kept = program.mask().decoded(&object);
    assert_eq!(program.evaluate(&kept).map(plain).map_err(class), result, "{source} over {kept}");
    result
}

fn expect(cases: &[(&str, Value)]) {
    for (source, expected) in cases {
        assert_eq!(run(source).as_ref(), Ok(expected), "{source}");
    }
}

#[test]
fn quantities() {
    expect(&[
        ("quantity(object.memory)", json!("1Gi")),
        ("quantity('1024Mi') == quantity(object.memory)", json!(true)),
        ("quantity('1.5')", json!("1500m")),
        ("quantity('0.5Gi')", json!("512Mi")),
        ("quantity('1000')", json!("1k")),
        ("quantity('1500k')", json!("1500k")),
        ("quantity('1e3')", json!("1e3")),
        ("quantity('1E')", json!("1E")),
        ("quantity('1023Ki')", json!("1023Ki")),
        ("quantity('0.1Ki')", json!("102400m")),
        ("quantity('-0')", json!("0")),
        ("quantity('1n').add(quantity('0.1n'))", json!("2n")),
        ("quantity('50k').isGreaterThan(quantity('49k')) && !quantity('50k').isLessThan(quantity('50k'))", json!(true)),
        ("quantity('1M').compareTo(quantity('1Mi'))", json!(-1)),
        ("quantity('200M').compareTo(quantity('0.2G'))", json!(0)),
        ("quantity('50k').add(quantity('20')).sub(5)", json!("50015")),
        ("quantity('50').sub(100).sign()", json!(-1)),
        ("quantity('50k').asInteger()", json!(50000)),
        ("quantity(object.cpu).isInteger()", json!(false)),
        ("quantity(object.cpu).asApproximateFloat()", json!(1.5)),
        ("quantity(object.whole).asInteger()", json!(2)),
        ("string(quantity('1024Ki'))", json!("1Mi")),
        (
            "['1Gi', '1', '1.', '.5', '+1', '-1m', '1Kb', '', 'x', '1 Gi', '1.2.3', '1e', '1ki'].map(q, isQuantity(q))",
            json!([true, true, true, true, true, true, false, false, false, false, false, false, false]),
        ),
        ("type(quantity('1')) == type(quantity('1k'))", json!(true)),
        ("{'q': [quantity('1Gi')]}", json!({"q": ["1Gi"]})),
    ]);
}

#[test]
fn urls() {
    expect(&[
        ("url(object.url).getScheme()", json!("https")),
        ("url(object.url).getHost()", json!("example.com:8443")),
        ("url(object.url).getHostname()", json!("example.com")),
        ("url(object.url).getPort()", json!("8443")),
        ("url(object.url).getEscapedPath()", json!("/a%20b/c")),
        ("url(object.url).getQuery()", json!({"q": ["1", "2"], "r": ["x y"]})),
        ("url('http://[::1]:80/').getHost()", json!("[::1]:80")),
        ("url('http://[::1]:80/').getHostname()", json!("::1")),
        ("url('/a/b?x=1').getHost() + url('/a/b?x=1').getEscapedPath()", json!("/a/b")),
        ("url('mailto:a@b').getScheme()", json!("mailto")),
        (
            "['https://h', '/p', 'h/p', '', 'http://h:x/', 'a b:c', 'http://[::1'].map(u, isURL(u))",
            json!([true, true, false, false, false, false, false]),
        ),
    ]);
}

#[test]
fn addresses_and_networks() {
    expect(&[
        ("ip(object.ip)", json!("10.1.2.3")),
        ("ip('2001:DB8::1').family() + ip(object.ip).family()", json!(10)),
        ("ip('127.0.0.1').isLoopback() && ip('::').isUnspecified() && ip('fe80::1').isLinkLocalUnicast()", json!(true)),
        ("ip('224.0.0.1').isLinkLocalMulticast() && ip('ff02::1').isLinkLocalMulticast()", json!(true)),
        (
            "['8.8.8.8', '255.255.255.255', '169.254.1.1', '10.0.0.1'].map(i, ip(i).isGlobalUnicast())",
            json!([true, false, false, true]),
        ),
        (
            "['1.2.3.4', '::1', '1.2.3', '01.2.3.4', '::ffff:1.2.3.4', 'fe80::1%eth0'].map(i, isIP(i))",
            json!([true, true, false, false, false, false]),
        ),
        ("ip.isCanonical('::1') && !ip.isCanonical('0:0::1')", json!(true)),
        ("ip('0:0::1') == ip('::1')", json!(true)),
        ("cidr('10.0.0.0/8').containsIP(object.ip)", json!(true)),
        ("cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))", json!(false)),
        ("cidr('10.0.0.0/8').containsIP('::1')", json!(false)),
        (
            "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8'))",
            json!(true),
        ),
        ("cidr('10.1.2.3/8').masked()", json!("10.0.0.0/8")),
        ("cidr('2001:db8::1/0').masked()", json!("::/0")),
        ("cidr('10.1.2.3/32').masked() == cidr('10.1.2.3/32')", json!(true)),
        ("cidr('10.1.2.3/8').ip()", json!("10.1.2.3")),
        ("cidr('::/64').prefixLength()", json!(64)),
        (
            "['10.0.0.0/33', '10.0.0.0/08', '10.0.0.0', '::/128', '10.0.0.0/+8'].map(c, isCIDR(c))",
            json!([false, false, false, true, false]),
        ),
        ("['10.0.0.1'].map(ip, cidr('10.0.0.0/8').containsIP(ip))", json!([true])),
    ]);
}

#[test]
fn formats() {
    expect(&[
        ("format.dns1123Label().validate('a-b1')", Value::Null),
        ("format.dns1123Label().validate('A_b').value()", json!(["is no dns1123Label"])),
        ("format.named('dns1123Subdomain').value().validate('a.b.c').hasValue()", json!(false)),
        ("format.named('dns1123Subdomain').value().validate('a..c').hasValue()", json!(true)),
        ("format.named('nothing').hasValue()", json!(false)),
        ("format.dns1035Label().validate('1a').hasValue()", json!(true)),
        ("format.dns1123LabelPrefix().validate('web-').hasValue()", json!(false)),
        ("format.dns1035LabelPrefix().validate('web-').hasValue()", json!(false)),
        ("format.dns1123SubdomainPrefix().validate('a.web-').hasValue()", json!(false)),
        (
            "['a.io/b_C', 'b', '', 'A/b', 'a/', '-a'].map(n, format.qualifiedName().validate(n).hasValue())",
            json!([false, false, true, true, true, true]),
        ),
        ("['', 'a.B_c', '.a'].map(v, format.labelValue().validate(v).hasValue())", json!([false, false, true])),
        ("['https://h/p', 'h'].map(u, format.uri().validate(u).hasValue())", json!([false, true])),
        (
            "['123e4567-e89b-12d3-a456-426614174000', '123e4567e89b12d3'].map(u, format.uuid().validate(u).hasValue())",
            json!([false, true]),
        ),
        ("['aGk=', 'a'].map(b, format.byte().validate(b).hasValue())", json!([false, true])),
        (
            "['2024-02-29', '2023-02-29', '2024-13-01', 'x'].map(d, format.date().validate(d).hasValue())",
            json!([false, true, true, true]),
        ),
        (
            "['2024-01-02T03:04:05Z', '2024-01-02T03:04:05.25+01:00', '2024-01-02T03:04:05', '2024-01-02T25:04:05Z', \
             'é024-01-02T25:04:05Z'].map(d, format.datetime().validate(d).hasValue())",
            json!([false, false, true, true, true]),
        ),
    ]);
}

#[test]
fn versions() {
    expect(&[
        ("semver('1.2.3-rc.1+b')", json!("1.2.3-rc.1+b")),
        ("[semver('1.2.3').major(), semver('1.2.3').minor(), semver('1.2.3').patch()]", json!([1, 2, 3])),
        ("semver('1.10.0').isGreaterThan(semver('1.9.9'))", json!(true)),
        ("semver('1.0.0-rc.1').isLessThan(semver('1.0.0'))", json!(true)),
        ("semver('1.0.0-rc.2').compareTo(semver('1.0.0-rc.10'))", json!(-1)),
        ("semver('1.0.0-1').isLessThan(semver('1.0.0-a'))", json!(true)),
        ("semver('1.0.0+a') == semver('1.0.0+b')", json!(true)),
        ("semver('v1.02', true)", json!("1.2.0")),
        ("semver('v1-rc.1+b', true)", json!("1.0.0-rc.1+b")),
        ("semver('1.2.3', false)", json!("1.2.3")),
        (
            "[isSemver('v1', true), isSemver('v1', false), isSemver('v1.0.0'), isSemver('1..2', true), isSemver('1.2.3.4', true)]",
            json!([true, false, false, false, false]),
        ),
        (
            "['1.2.3', '1.2', 'v1.2.3', '01.2.3', '1.2.3-', '1.2.3-01', '1.2.3+'].map(v, isSemver(v))",
            json!([true, false, false, false, false, false, false]),
        ),
    ]);
}

#[test]
fn texts_lists_and_sets() {
    expect(&[
        ("object.image.find('[0-9]+')", json!("1")),
        ("object.image.find('z+')", json!("")),
        ("object.image.findAll('[0-9]')", json!(["1", "2", "3"])),
        ("object.image.findAll('[0-9]', 2)", json!(["1", "2"])),
        ("object.image.findAll('[0-9]', -1).size()", json!(3)),
        ("object.list.isSorted()", json!(false)),
        ("[1, 2, 2].isSorted() && [].isSorted() && ['a', 'b'].isSorted()", json!(true)),
        ("object.list.sum()", json!(6)),
        ("[].sum()", json!(0)),
        ("[1.5, 2.0].sum()", json!(3.5)),
        ("[duration('1h'), duration('30m')].sum()", json!("5400s")),
        ("object.list.min() + object.list.max() * 10", json!(31)),
        ("['b', 'a'].min()", json!("a")),
        ("object.names.indexOf('a')", json!(0)),
        ("object.names.lastIndexOf('a')", json!(2)),
        ("object.names.indexOf('z')", json!(-1)),
        ("'abca'.indexOf('a', 1) + 'abca'.lastIndexOf('a')", json!(6)),
        ("sets.contains(object.list, [1, 2.0])", json!(true)),
        ("sets.contains(object.list, [4])", json!(false)),
        ("sets.contains([], [])", json!(true)),
        ("sets.equivalent(object.names, ['b', 'a'])", json!(true)),
        ("sets.equivalent(['a'], ['a', 'b'])", json!(false)),
        ("sets.intersects(object.list, [9, 3])", json!(true)),
        ("sets.intersects(object.list, [])", json!(false)),
    ]);
}

#[test]
fn macros_with_two_variables() {
    expect(&[
        ("object.list.all(i, v, i < v + 2)", json!(true)),
        ("object.map.all(k, v, v > 1)", json!(false)),
        ("object.map.exists(k, v, k == 'y' && v == 2)", json!(true)),
        ("object.list.exists(i, v, i == v)", json!(true)),
        ("object.list.exists(i, v, i == v + 5)", json!(false)),
        ("object.map.existsOne(k, v, v == 1)", json!(true)),
        ("object.names.exists_one(i, v, v == 'a')", json!(false)),
        ("object.map.transformList(k, v, k + string(v))", json!(["x1", "y2"])),
        ("object.list.transformList(i, v, v > 1, i)", json!([0, 2])),
        (
            "object.list.transformList(i, v, object.names.transformList(j, w, w + string(i)))",
            json!([["a0", "b0", "a0"], ["a1", "b1", "a1"], ["a2", "b2", "a2"]]),
        ),
        ("object.map.transformMap(k, v, string(v) + k)", json!({"x": "1x", "y": "2y"})),
        ("object.map.transformMap(k, v, v > 1, [v])", json!({"y": [2]})),
        ("object.list.transformMap(i, v, v * 2).size()", json!(3)),
        ("object.map.transformMapEntry(k, v, {string(v): k})", json!({"1": "x", "2": "y"})),
        ("object.map.transformMapEntry(k, v, v > 1, {k + 'a': v, k + 'b': v})", json!({"ya": 2, "yb": 2})),
        ("object.map.transformMap(k, v, object.list.transformMap(i, w, w == v, k))['y'].size() >= 0", json!(true)),
    ]);
}

#[test]
fn maps_that_an_expression_builds_are_walked_in_the_order_of_their_keys() {
    let many = "{'k': 1, 'b': 2, 'x': 3, 'a': 4, 'm': 5, 'd': 6, 'z': 7, 'c': 8}";
    for (source, wanted) in [
        (format!("{many}.map(k, k)"), json!(["a", "b", "c", "d", "k", "m", "x", "z"])),
        (format!("{many}.transformList(k, v, v)"), json!([4, 2, 8, 6, 1, 5, 3, 7])),
        (format!("{many}.transformMap(k, v, v).filter(k, k > 'l')"), json!(["m", "x", "z"])),
        (
            "{3: 0, -1: 0, 20: 0, 100: 0, 7u: 0, true: 0, 'a': 0}.map(k, string(k))".to_owned(),
            json!(["true", "-1", "3", "7", "20", "100", "a"]),
        ),
    ] {
        // Another hash of every map each time.
        for _ in 0..20 {
            assert_eq!(run(&source).unwrap(), wanted, "{source}");
        }
    }
}

#[test]
fn what_is_refused_names_no_values() {
    for (source, class) in [
        ("quantity(object.ip)", "function error: quantity refused"),
        ("quantity('99999999999E')", "function error"),
        ("quantity('1e999999999')", "function error"),
        ("quantity('9E').add(quantity('9E')).asInteger()", "function error"),
        ("quantity(object.cpu).asInteger()", "function error: asInteger refused"),
        ("quantity('1').isLessThan(semver('1.0.0'))", "wrong type"),
        ("quantity(['a'])", "wrong type"),
        ("object.ip.isLessThan(quantity('1'))", "wrong type"),
        ("cidr('10.0.0.0/8').containsIP('x')", "function error"),
        ("url('nope')", "function error"),
        ("semver('1')", "function error"),
        ("[].min()", "function error: min refused"),
        ("[1, 'a'].max()", "wrong type"),
        ("['a', 'b'].sum()", "wrong type"),
        ("[1, 'a'].sum()", "wrong type"),
        ("sets.contains([1], 1)", "wrong type"),
        ("'a'.find('(')", "function error"),
        ("object.ip.all(i, v, true)", "wrong type"),
        ("object.list.transformMap(i, v)", "compile: \"transformMap\" is used with the wrong number"),
        ("object.list.transformMapEntry(i, v, {'same': v})", "function error: transformMapEntry refused"),
        ("object.list.transformMapEntry(i, v, v)", "wrong type"),
        ("semver('1', 1)", "wrong type"),
        ("semver('vv1', true)", "function error"),
        ("object.list.all(1, v, true)", "compile: argument 1 of all"),
    ] {
        let error = run(source).unwrap_err();
        assert!(error.starts_with(class), "{source}: {error}");
        assert!(!error.contains("10.1.2.3"), "{source}: {error}");
    }
}

#[test]
fn hostile_calls_end_with_an_error() {
    let object = json!({"s": "a".repeat(200_000), "l": vec!["a"; 20_000], "n": vec![1; 20_000]});
    for source in [
        "sets.intersects(object.l, object.n)",
        "object.l.all(a, object.l.indexOf('b') < 0)",
        "object.s.findAll('a')",
        "object.l.all(a, object.s.find(a + 'x*y') == '')",
        "object.l.transformList(i, v, object.l.transformList(j, w, w))",
        "object.l.transformList(i, v, [v, v])",
        "object.l.transformMap(i, v, v)",
        "object.l.transformList(i, v, object.l.transformList(j, w, [j, w]))",
        "object.l.transformMap(i, v, object.l.transformMap(j, w, w))",
        "object.l.transformMapEntry(i, v, {string(i): object.l})",
        "object.l.all(a, object.n.sum() > 0)",
        "object.l.all(a, isQuantity(object.s) || true)",
    ] {
        let error = Program::compile(source).unwrap().evaluate(&object).unwrap_err();
        assert_eq!(error.class, crate::error::ErrorClass::Limit, "{source}: {error:?}");
    }
}
