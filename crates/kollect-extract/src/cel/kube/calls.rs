//! The functions of Kubernetes' libraries: constructors from text, and methods of their values.

#![expect(clippy::needless_pass_by_value, reason = "the interpreter hands arguments over by value")]

use super::super::args::{Args, CallResult, integer, string, text, truth, wrong_types};
use super::super::size;
use super::net::{is_global_unicast, is_link_local, is_link_local_multicast, parse_ip};
use super::{CIDR, Cidr, FORMAT, IP, Kube, NamedFormat, QUANTITY, Quantity, SEMVER, Semver, URL, Url};
use crate::budget;
use cel::common::functions::Function;
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelOptional, CelString, DYN_TYPE, Type,
};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use core::net::IpAddr;
use std::cmp::Ordering;
use std::collections::HashMap;

/// Functions by the number of their arguments.
const GLOBALS: [(&str, usize, Function); 14] = [
    ("format.named", 1, named_format),
    ("quantity", 1, quantity),
    ("isQuantity", 1, |args| is(args, "isQuantity", |t| Quantity::parse(t).is_some())),
    ("url", 1, |args| make(args, "url", |t| Url::parse(t).map(Kube::Url))),
    ("isURL", 1, |args| is(args, "isURL", |t| Url::parse(t).is_some())),
    ("ip", 1, |args| make(args, "ip", |t| parse_ip(t).map(Kube::Ip))),
    ("isIP", 1, |args| is(args, "isIP", |t| parse_ip(t).is_some())),
    ("ip.isCanonical", 1, |args| is(args, "ip.isCanonical", |t| parse_ip(t).is_some_and(|ip| ip.to_string() == t))),
    ("cidr", 1, |args| make(args, "cidr", |t| Cidr::parse(t).map(Kube::Cidr))),
    ("isCIDR", 1, |args| is(args, "isCIDR", |t| Cidr::parse(t).is_some())),
    ("semver", 1, |args| make(args, "semver", strict)),
    ("isSemver", 1, |args| is(args, "isSemver", |t| strict(t).is_some())),
    ("semver", 2, |args| {
        let normalize = normalizes(&args, "semver")?;
        make(args, "semver", if normalize { normalized } else { strict })
    }),
    ("isSemver", 2, |args| {
        let normalize = normalizes(&args, "isSemver")?;
        is(args, "isSemver", if normalize { |t| normalized(t).is_some() } else { |t| strict(t).is_some() })
    }),
];

/// Members by the number of their arguments, the target included.
const MEMBERS: [(&str, usize, Function); 30] = [
    ("isLessThan", 2, |args| compare(args, "isLessThan").map(|order| truth(order.is_lt()))),
    ("isGreaterThan", 2, |args| compare(args, "isGreaterThan").map(|order| truth(order.is_gt()))),
    ("compareTo", 2, |args| compare(args, "compareTo").map(|order| integer(order as i64))),
    ("add", 2, |args| arithmetic(args, "add", Quantity::add)),
    ("sub", 2, |args| arithmetic(args, "sub", Quantity::sub)),
    ("sign", 1, |args| of_quantity(args, "sign", |q| Some(integer(q.sign())))),
    ("isInteger", 1, |args| of_quantity(args, "isInteger", |q| Some(truth(q.integer().is_some())))),
    ("asInteger", 1, |args| of_quantity(args, "asInteger", |q| q.integer().map(integer))),
    ("asApproximateFloat", 1, |args| {
        of_quantity(args, "asApproximateFloat", |q| Some(CowVal::owned(CelDouble::from(q.float()))))
    }),
    ("getScheme", 1, |args| of_url(args, "getScheme", |url| string(url.scheme()))),
    ("getHost", 1, |args| of_url(args, "getHost", |url| string(url.host().to_owned()))),
    ("getHostname", 1, |args| of_url(args, "getHostname", |url| string(url.hostname().to_owned()))),
    ("getPort", 1, |args| of_url(args, "getPort", |url| string(url.port().to_owned()))),
    ("getEscapedPath", 1, |args| of_url(args, "getEscapedPath", |url| string(url.path().to_owned()))),
    ("getQuery", 1, query),
    ("family", 1, |args| of_ip(args, "family", |ip| integer(if ip.is_ipv4() { 4 } else { 6 }))),
    ("isUnspecified", 1, |args| of_ip(args, "isUnspecified", |ip| truth(ip.is_unspecified()))),
    ("isLoopback", 1, |args| of_ip(args, "isLoopback", |ip| truth(ip.is_loopback()))),
    ("isLinkLocalMulticast", 1, |args| of_ip(args, "isLinkLocalMulticast", |ip| truth(is_link_local_multicast(ip)))),
    ("isLinkLocalUnicast", 1, |args| of_ip(args, "isLinkLocalUnicast", |ip| truth(is_link_local(ip)))),
    ("isGlobalUnicast", 1, |args| of_ip(args, "isGlobalUnicast", |ip| truth(is_global_unicast(ip)))),
    ("containsIP", 2, contains_ip),
    ("containsCIDR", 2, contains_cidr),
    ("ip", 1, |args| of_cidr(args, "ip", |cidr| CowVal::owned(Kube::Ip(cidr.ip)))),
    ("masked", 1, |args| of_cidr(args, "masked", |cidr| CowVal::owned(Kube::Cidr(cidr.masked())))),
    ("prefixLength", 1, |args| of_cidr(args, "prefixLength", |cidr| integer(cidr.length.into()))),
    ("major", 1, |args| of_semver(args, "major", 0)),
    ("minor", 1, |args| of_semver(args, "minor", 1)),
    ("patch", 1, |args| of_semver(args, "patch", 2)),
    ("validate", 2, validate),
];

/// One format each.
const FORMATS: [(&str, Function); 13] = [
    ("format.dns1123Label", |_| Ok(format(NamedFormat::Dns1123Label))),
    ("format.dns1123Subdomain", |_| Ok(format(NamedFormat::Dns1123Subdomain))),
    ("format.dns1035Label", |_| Ok(format(NamedFormat::Dns1035Label))),
    ("format.qualifiedName", |_| Ok(format(NamedFormat::QualifiedName))),
    ("format.dns1123LabelPrefix", |_| Ok(format(NamedFormat::Dns1123LabelPrefix))),
    ("format.dns1123SubdomainPrefix", |_| Ok(format(NamedFormat::Dns1123SubdomainPrefix))),
    ("format.dns1035LabelPrefix", |_| Ok(format(NamedFormat::Dns1035LabelPrefix))),
    ("format.labelValue", |_| Ok(format(NamedFormat::LabelValue))),
    ("format.uri", |_| Ok(format(NamedFormat::Uri))),
    ("format.uuid", |_| Ok(format(NamedFormat::Uuid))),
    ("format.byte", |_| Ok(format(NamedFormat::Byte))),
    ("format.date", |_| Ok(format(NamedFormat::Date))),
    ("format.datetime", |_| Ok(format(NamedFormat::Datetime))),
];

/// Declares the functions, and `string()` of their values.
pub(in crate::cel) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    for (name, arity, function) in GLOBALS {
        env.add_overload(name, &format!("{name}{arity}"), any(arity), function)?;
    }
    for (name, arity, function) in MEMBERS {
        env.add_member_overload(name, &format!("member {name}{arity}"), DYN_TYPE, any(arity - 1), function)?;
    }
    for (name, function) in FORMATS {
        env.add_overload(name, name, vec![], function)?;
    }
    for kind in [&QUANTITY, &URL, &IP, &CIDR, &SEMVER, &FORMAT] {
        env.add_overload("string", &format!("string of {}", kind.name()), vec![kind.to_owned()], |args| {
            match kube(&args) {
                Some(value) => Ok(string(value.to_string())),
                None => Err(wrong_types("string", &args)),
            }
        })?;
    }
    Ok(())
}

fn any(count: usize) -> Vec<Type> {
    (0..count).map(|_| DYN_TYPE).collect()
}

fn refused(function: &str) -> ExecutionError {
    ExecutionError::function_error(function, "the arguments are not accepted")
}

fn kube<'x>(args: &'x Args<'_, '_>) -> Option<&'x Kube> {
    args.first().and_then(|value| value.downcast_ref::<Kube>())
}

fn make<'b, 'v>(args: Args<'b, 'v>, name: &str, parse: fn(&str) -> Option<Kube>) -> CallResult<'b, 'v> {
    let value = args.first().and_then(text).ok_or_else(|| wrong_types(name, &args))?;
    budget::build(value.len())?;
    parse(value).map(CowVal::owned).ok_or_else(|| refused(name))
}

fn is<'b, 'v>(args: Args<'b, 'v>, name: &str, test: fn(&str) -> bool) -> CallResult<'b, 'v> {
    let value = args.first().and_then(text).ok_or_else(|| wrong_types(name, &args))?;
    budget::charge_bytes(value.len())?;
    Ok(truth(test(value)))
}

fn strict(text: &str) -> Option<Kube> {
    Semver::parse(text).map(Kube::Semver)
}

fn normalized(text: &str) -> Option<Kube> {
    Semver::normalized(text).map(Kube::Semver)
}

/// Whether the second argument selects lenient parsing of a version.
fn normalizes(args: &Args<'_, '_>, name: &str) -> Result<bool, ExecutionError> {
    let lenient = args.get(1).and_then(|lenient| lenient.downcast_ref::<CelBool>());
    lenient.map(|lenient| *lenient.inner()).ok_or_else(|| wrong_types(name, args))
}

/// Kubernetes also has amounts that are JSON numbers.
fn quantity<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    if let Some(number) = args.first().and_then(|value| value.downcast_ref::<CelInt>()) {
        return Ok(CowVal::owned(Kube::Quantity((*number.inner()).into())));
    }
    make(args, "quantity", |text| Quantity::parse(text).map(Kube::Quantity))
}

fn compare(args: Args<'_, '_>, name: &str) -> Result<Ordering, ExecutionError> {
    let order = match (kube(&args), args.get(1).and_then(|value| value.downcast_ref::<Kube>())) {
        (Some(Kube::Quantity(a)), Some(Kube::Quantity(b))) => a.partial_cmp(b),
        (Some(Kube::Semver(a)), Some(Kube::Semver(b))) => Some(a.order(b)),
        _ => None,
    };
    order.ok_or_else(|| wrong_types(name, &args))
}

fn arithmetic<'b, 'v>(
    args: Args<'b, 'v>,
    name: &str,
    operate: fn(Quantity, Quantity) -> Option<Quantity>,
) -> CallResult<'b, 'v> {
    let other = args.get(1).and_then(|value| match value.downcast_ref::<Kube>() {
        Some(Kube::Quantity(quantity)) => Some(*quantity),
        _ => value.downcast_ref::<CelInt>().map(|number| (*number.inner()).into()),
    });
    match (kube(&args), other) {
        (Some(Kube::Quantity(quantity)), Some(other)) => {
            operate(*quantity, other).map(|sum| CowVal::owned(Kube::Quantity(sum))).ok_or_else(|| refused(name))
        }
        _ => Err(wrong_types(name, &args)),
    }
}

fn of_quantity<'b, 'v>(
    args: Args<'b, 'v>,
    name: &str,
    ask: fn(Quantity) -> Option<CowVal<'b, 'v>>,
) -> CallResult<'b, 'v> {
    match kube(&args) {
        Some(Kube::Quantity(quantity)) => ask(*quantity).ok_or_else(|| refused(name)),
        _ => Err(wrong_types(name, &args)),
    }
}

fn of_url<'b, 'v>(args: Args<'b, 'v>, name: &str, ask: fn(&Url) -> CowVal<'b, 'v>) -> CallResult<'b, 'v> {
    match kube(&args) {
        Some(Kube::Url(url)) => Ok(ask(url)),
        _ => Err(wrong_types(name, &args)),
    }
}

fn query<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let Some(Kube::Url(url)) = kube(&args) else { return Err(wrong_types("getQuery", &args)) };
    let mut all: HashMap<String, Vec<Box<dyn Val + 'v>>> = HashMap::new();
    for (name, value) in url.query() {
        budget::build(4 * size::NODE + name.len() + value.len())?;
        all.entry(name).or_default().push(Box::new(CelString::from(value)));
    }
    let map: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = all
        .into_iter()
        .map(|(name, values)| (CelMapKey::from(name), Box::new(CelList::from(values)) as Box<dyn Val + 'v>))
        .collect();
    Ok(CowVal::owned(CelMap::from(map)))
}

fn of_ip<'b, 'v>(args: Args<'b, 'v>, name: &str, ask: fn(IpAddr) -> CowVal<'b, 'v>) -> CallResult<'b, 'v> {
    match kube(&args) {
        Some(Kube::Ip(ip)) => Ok(ask(*ip)),
        _ => Err(wrong_types(name, &args)),
    }
}

fn of_cidr<'b, 'v>(args: Args<'b, 'v>, name: &str, ask: fn(Cidr) -> CowVal<'b, 'v>) -> CallResult<'b, 'v> {
    match kube(&args) {
        Some(Kube::Cidr(cidr)) => Ok(ask(*cidr)),
        _ => Err(wrong_types(name, &args)),
    }
}

fn of_semver<'b, 'v>(args: Args<'b, 'v>, name: &str, number: usize) -> CallResult<'b, 'v> {
    match kube(&args) {
        Some(Kube::Semver(version)) => i64::try_from(version.numbers()[number]).map(integer).map_err(|_| refused(name)),
        _ => Err(wrong_types(name, &args)),
    }
}

fn format<'b, 'v>(format: NamedFormat) -> CowVal<'b, 'v> {
    CowVal::owned(Kube::Format(format))
}

fn named_format<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let name = args.first().and_then(text).ok_or_else(|| wrong_types("format.named", &args))?;
    let found = NamedFormat::named(name).map(|format| Box::new(Kube::Format(format)) as Box<dyn Val>);
    Ok(CowVal::owned(CelOptional::from(found)))
}

/// An optional list of what is wrong with the text.
fn validate<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let (Some(Kube::Format(format)), Some(value)) = (kube(&args), args.get(1).and_then(text)) else {
        return Err(wrong_types("validate", &args));
    };
    budget::build(value.len() + 4 * size::NODE)?;
    let found: Vec<Box<dyn Val + 'v>> = format
        .violations(value)
        .into_iter()
        .map(|violation| Box::new(CelString::from(violation)) as Box<dyn Val + 'v>)
        .collect();
    let found = (!found.is_empty()).then(|| Box::new(CelList::from(found)) as Box<dyn Val + 'v>);
    Ok(CowVal::owned(CelOptional::from(found)))
}

fn contains_ip<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let [cidr, ip] = args.as_slice() else { return Err(wrong_types("containsIP", &args)) };
    let ip = match (ip.downcast_ref::<Kube>(), text(ip)) {
        (Some(Kube::Ip(ip)), _) => *ip,
        (_, Some(text)) => parse_ip(text).ok_or_else(|| refused("containsIP"))?,
        _ => return Err(wrong_types("containsIP", &args)),
    };
    match cidr.downcast_ref::<Kube>() {
        Some(Kube::Cidr(cidr)) => Ok(truth(cidr.contains(ip))),
        _ => Err(wrong_types("containsIP", &args)),
    }
}

fn contains_cidr<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    let [cidr, other] = args.as_slice() else { return Err(wrong_types("containsCIDR", &args)) };
    let other = match (other.downcast_ref::<Kube>(), text(other)) {
        (Some(Kube::Cidr(other)), _) => *other,
        (_, Some(text)) => Cidr::parse(text).ok_or_else(|| refused("containsCIDR"))?,
        _ => return Err(wrong_types("containsCIDR", &args)),
    };
    match cidr.downcast_ref::<Kube>() {
        Some(Kube::Cidr(cidr)) => Ok(truth(cidr.contains_network(other))),
        _ => Err(wrong_types("containsCIDR", &args)),
    }
}
