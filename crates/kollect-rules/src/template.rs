//! Path templates: permitted and required placeholders.

const DOCUMENT: [&str; 5] = ["cluster", "namespace", "name", "generation", "extension"];
const ROW: [&str; 7] = ["targetNamespace", "targetName", "sourceNamespace", "sourceName", "group", "kind", "uid"];

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathOf {
    /// A document of an inventory.
    Document,
    /// The file of one row.
    Row,
}

/// What is wrong with a path template.
pub(crate) fn check(template: &str, path_of: PathOf) -> Result<(), String> {
    if template.starts_with('/') {
        return Err("must be relative; remove the leading \"/\"".to_owned());
    }
    if template.contains("..") {
        return Err("must not contain \"..\"".to_owned());
    }
    if template.chars().any(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    let records = template.split('/').next().is_some_and(|first| first.eq_ignore_ascii_case(".kollect"));
    if records || template.split('/').any(|segment| segment.eq_ignore_ascii_case(".git")) {
        return Err("must not use a folder that is reserved (.git, or .kollect at the top)".to_owned());
    }
    let rows: &[_] = if path_of == PathOf::Row { &ROW } else { &[] };
    let names = placeholders(template);
    for name in &names {
        let known = DOCUMENT.iter().chain(rows).any(|known| known == name);
        // Only text in the form of a placeholder is refused; other text in braces is literal.
        let meant = !name.is_empty()
            && name.bytes().all(|c| c.is_ascii_lowercase() || (path_of == PathOf::Row && c.is_ascii_alphabetic()));
        if meant && !known {
            let known: Vec<_> = DOCUMENT.iter().chain(rows).map(|known| format!("{{{known}}}")).collect();
            return Err(format!("unknown placeholder {{{name}}}; known are {}", known.join(" ")));
        }
    }
    let has = |name: &str| names.contains(&name);
    match path_of {
        PathOf::Document if !(has("namespace") && has("name")) => {
            Err("must contain {namespace} and {name}, else inventories would share one path".to_owned())
        }
        PathOf::Row if !(has("sourceName") || has("name") || has("uid")) => {
            Err("must contain {sourceName}, {name} or {uid}, else rows would share one path".to_owned())
        }
        _ => Ok(()),
    }
}

fn placeholders(template: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        rest = &rest[open + 1..];
        if let Some(end) = rest.find(['{', '}']).filter(|end| rest[*end..].starts_with('}')) {
            names.push(&rest[..end]);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_need_an_identity_and_known_placeholders() {
        for (template, path_of, sound) in [
            ("clusters/{cluster}/{namespace}/{name}{extension}", PathOf::Document, true),
            ("{namespace}/{name}/{Odd}/{v2}/{generation}.json", PathOf::Document, true),
            ("{namespace}/{{name}", PathOf::Document, true),
            ("{namespace}/x", PathOf::Document, false),
            ("/{namespace}/{name}", PathOf::Document, false),
            ("{namespace}/../{name}", PathOf::Document, false),
            ("{namespace}/{name}/{kind}", PathOf::Document, false),
            ("{namespace}/{name}\n", PathOf::Document, false),
            ("{cluster}/{group}/{kind}/{sourceNamespace}_{sourceName}{extension}", PathOf::Row, true),
            ("v{generation}/{targetName}/{uid}{extension}", PathOf::Row, true),
            ("{cluster}/{kind}", PathOf::Row, false),
            ("{uid}/{SourceName}", PathOf::Row, false),
            (".kollect/{namespace}/{name}", PathOf::Document, false),
            (".Kollect/{uid}", PathOf::Row, false),
            ("x/.git/{uid}", PathOf::Row, false),
            ("x/.kollect/.gitignore/{uid}", PathOf::Row, true),
        ] {
            assert_eq!(check(template, path_of).is_ok(), sound, "{template}");
        }
    }
}
