//! Reports unknown names at compile time; the interpreter would report them per object, and only when it evaluates them.

use super::ast;
use cel::IdedExpr;
use cel::common::ast::Expr;

const FUNCTIONS: &[&str] = &[
    "_?_:_",
    "_&&_",
    "_||_",
    "!_",
    "_-_",
    "_+_",
    "_*_",
    "_/_",
    "_%_",
    "_==_",
    "_!=_",
    "_>=_",
    "_<=_",
    "_>_",
    "_<_",
    "-_",
    "_[_]",
    "_[?_]",
    "_?._",
    "@not_strictly_false",
    "@in",
    "@entries",
    "@keys",
    "@merged",
    "@walked",
    "math.@max",
    "math.@min",
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "matches",
    "size",
    "string",
    "timestamp",
    "type",
    "uint",
    "quantity",
    "isQuantity",
    "url",
    "isURL",
    "ip",
    "isIP",
    "cidr",
    "isCIDR",
    "semver",
    "isSemver",
];
const MEMBERS: &[&str] = &[
    "@sortByAssociatedKeys",
    "add",
    "asApproximateFloat",
    "asInteger",
    "charAt",
    "compareTo",
    "contains",
    "containsCIDR",
    "containsIP",
    "distinct",
    "endsWith",
    "family",
    "find",
    "findAll",
    "flatten",
    "format",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getEscapedPath",
    "getFullYear",
    "getHost",
    "getHostname",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getPort",
    "getQuery",
    "getScheme",
    "getSeconds",
    "hasValue",
    "indexOf",
    "ip",
    "isGlobalUnicast",
    "isGreaterThan",
    "isInteger",
    "isLessThan",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isLoopback",
    "isSorted",
    "isUnspecified",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "major",
    "masked",
    "matches",
    "max",
    "min",
    "minor",
    "or",
    "orValue",
    "patch",
    "prefixLength",
    "replace",
    "reverse",
    "sign",
    "size",
    "slice",
    "sort",
    "split",
    "startsWith",
    "sub",
    "substring",
    "sum",
    "trim",
    "upperAscii",
    "validate",
    "value",
];
/// Functions with a namespace.
const QUALIFIED: &[(&str, &[&str])] = &[
    ("base64", &["decode", "encode"]),
    (
        "format",
        &[
            "byte",
            "date",
            "datetime",
            "dns1035Label",
            "dns1035LabelPrefix",
            "dns1123Label",
            "dns1123LabelPrefix",
            "dns1123Subdomain",
            "dns1123SubdomainPrefix",
            "labelValue",
            "named",
            "qualifiedName",
            "uri",
            "uuid",
        ],
    ),
    ("ip", &["isCanonical"]),
    ("lists", &["range"]),
    (
        "math",
        &[
            "abs",
            "bitAnd",
            "bitNot",
            "bitOr",
            "bitShiftLeft",
            "bitShiftRight",
            "bitXor",
            "ceil",
            "floor",
            "isFinite",
            "isInf",
            "isNaN",
            "round",
            "sign",
            "sqrt",
            "trunc",
        ],
    ),
    ("optional", &["none", "of", "ofNonZeroValue"]),
    ("sets", &["contains", "equivalent", "intersects"]),
    ("strings", &["quote"]),
];
const TYPES: &[&str] =
    &["bool", "bytes", "double", "int", "list", "map", "null_type", "optional_type", "string", "type", "uint"];
/// Macros that were not expanded because their arguments are wrong.
const MACROS: &[&str] = &[
    "all",
    "exists",
    "existsOne",
    "exists_one",
    "filter",
    "greatest",
    "has",
    "least",
    "map",
    "optFlatMap",
    "optMap",
    "sortBy",
    "transformList",
    "transformMap",
    "transformMapEntry",
];

/// An unknown name.
#[derive(Debug)]
pub(super) struct Unknown {
    pub(super) name: String,
    pub(super) message: String,
}

/// Checks every variable and function.
pub(super) fn check(expr: &IdedExpr) -> Result<(), Unknown> {
    visit(expr, &mut vec!["object"])
}

fn visit<'e>(expr: &'e IdedExpr, scope: &mut Vec<&'e str>) -> Result<(), Unknown> {
    match &expr.expr {
        Expr::Ident(name) => {
            let known = scope.contains(&name.as_str()) || TYPES.contains(&name.as_str());
            return if known { Ok(()) } else { Err(unknown_variable(name)) };
        }
        Expr::Select(select) if !select.test && is_well_known_type(expr) && !scope.contains(&"google") => {
            let _ = select;
            return Ok(());
        }
        Expr::Call(call) => {
            if let Some(target) = &call.target
                && let Expr::Ident(namespace) = &target.expr
                && !scope.contains(&namespace.as_str())
                && let Some((_, functions)) = QUALIFIED.iter().find(|(name, _)| name == namespace)
            {
                if !functions.contains(&call.func_name.as_str()) {
                    return Err(unknown_function(&format!("{namespace}.{}", call.func_name)));
                }
                return call.args.iter().try_for_each(|arg| visit(arg, scope));
            }
            let known = if call.target.is_some() { MEMBERS } else { FUNCTIONS };
            if !known.contains(&call.func_name.as_str()) {
                return Err(unknown_function(&call.func_name));
            }
        }
        Expr::Comprehension(c) => {
            visit(&c.iter_range, scope)?;
            visit(&c.accu_init, scope)?;
            let outer = scope.len();
            scope.push(&c.accu_var);
            visit(&c.result, scope)?;
            scope.push(&c.iter_var);
            scope.extend(c.iter_var2.as_deref());
            visit(&c.loop_cond, scope)?;
            visit(&c.loop_step, scope)?;
            scope.truncate(outer);
            return Ok(());
        }
        Expr::Struct(message) => {
            return Err(Unknown {
                name: message.type_name.clone(),
                message: "messages cannot be built; use a map {\"key\": value}".to_owned(),
            });
        }
        Expr::Unspecified => {
            return Err(Unknown { name: String::new(), message: "the expression is incomplete".to_owned() });
        }
        Expr::Select(_) | Expr::List(_) | Expr::Map(_) | Expr::Literal(_) => {}
    }
    let mut result = Ok(());
    ast::children(expr, |child| {
        if result.is_ok() {
            result = visit(child, scope);
        }
    });
    result
}

/// `google.protobuf.Timestamp` and its like, as in `type(x) == google.protobuf.Timestamp`.
fn is_well_known_type(expr: &IdedExpr) -> bool {
    let Expr::Select(name) = &expr.expr else { return false };
    let Expr::Select(package) = &name.operand.expr else { return false };
    matches!(name.field.as_str(), "Timestamp" | "Duration")
        && package.field == "protobuf"
        && matches!(&package.operand.expr, Expr::Ident(root) if root == "google")
}

fn unknown_variable(name: &str) -> Unknown {
    Unknown { name: name.to_owned(), message: format!("unknown variable {name:?}; the only variable is \"object\"") }
}

fn unknown_function(name: &str) -> Unknown {
    let message = if MACROS.contains(&name) {
        format!("{name:?} is used with the wrong number or kind of arguments")
    } else {
        format!("unknown function {name:?}; the functions of CEL and of Kubernetes are available")
    };
    Unknown { name: name.rsplit('.').next().unwrap_or(name).to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_function_exists() {
        let root = super::super::env::root().unwrap();
        let qualified =
            QUALIFIED.iter().flat_map(|(space, names)| names.iter().map(move |name| format!("{space}.{name}()")));
        let members = MEMBERS
            .iter()
            .filter(|name| !name.starts_with('@'))
            .map(|name| format!("1.{name}()").replace("1.", "(1)."));
        let functions = FUNCTIONS
            .iter()
            .filter(|name| name.bytes().all(|b| b.is_ascii_lowercase()))
            .map(|name| format!("{name}()"));
        for source in qualified.chain(members).chain(functions) {
            let expr = cel::parser::PrattParser::new().parse(&source).unwrap();
            let result = cel::Value::resolve(&expr, root);
            assert!(!matches!(result, Err(cel::ExecutionError::UndeclaredReference(_))), "{source}: {result:?}");
        }
    }
}
