//! Circles of imports between the files of a crate.
//!
//! A name is followed through re-exports to the file that defines it, so a `mod.rs` that only re-exports its children is no
//! part of a circle.

use super::finding::Finding;
use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// Files that import each other because what they parse contains itself.
const RECURSIVE: [&str; 6] = [
    "crates/kollect-extract/src/cel/view/equality.rs",
    "crates/kollect-extract/src/cel/view/list.rs",
    "crates/kollect-extract/src/cel/view/map.rs",
    "crates/kollect-extract/src/cel/view/mod.rs",
    "crates/kollect-extract/src/jsonpath/filter.rs",
    "crates/kollect-extract/src/jsonpath/parse.rs",
];
/// Longest chain of re-exports that is followed.
const MOST_HOPS: usize = 8;

type Module = Vec<String>;

/// The files of one crate by their module.
#[derive(Default)]
struct Crate<'a> {
    files: BTreeMap<Module, &'a Source>,
    /// Per module: public name → path.
    exports: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
}

/// Files of one crate do not import each other in a circle.
pub(crate) fn between_files(files: &[Source]) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Crate<'_>> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.is_test()) {
        let Some(module) = module_of(file) else { continue };
        let of_crate = crates.entry(file.package()).or_default();
        let exports = statements(file).filter(|(public, _)| *public).flat_map(|(_, path)| expand(&path));
        of_crate.exports.insert(module.clone(), exports.collect());
        of_crate.files.insert(module, file);
    }
    crates.values().flat_map(Crate::circles).collect()
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are `[a, b]`.
fn module_of(file: &Source) -> Option<Module> {
    let path = file.path.strip_prefix(file.package())?.strip_prefix("/src/")?.strip_suffix(".rs")?;
    let mut module: Module = path.split('/').map(str::to_owned).collect();
    if module.len() == 1 && (module[0] == "lib" || module[0] == "main") {
        module.clear();
    }
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    Some(module)
}

/// The `use` statements of a file, each with whether it re-exports.
fn statements(file: &Source) -> impl Iterator<Item = (bool, String)> {
    let text: Vec<&str> = file.code().map(|(_, line)| line).collect();
    let text = text.join("\n");
    let mut found = Vec::new();
    for statement in text.split(';') {
        // Attributes and earlier items may precede the keyword.
        let at_start = |at: &usize| statement[..*at].chars().next_back().is_none_or(|c| c == '\n');
        let marks = [("pub use ", true), ("pub(crate) use ", true), ("pub(super) use ", true), ("use ", false)];
        let hit = marks.iter().find_map(|(mark, public)| {
            let at = statement.rfind(mark).filter(at_start)?;
            Some((*public, statement[at + mark.len()..].split_whitespace().collect::<String>()))
        });
        found.extend(hit);
    }
    found.into_iter()
}

/// `a::{b, c::d as e}` → `b: a::b`, `e: a::c::d`.
fn expand(path: &str) -> Vec<(String, Vec<String>)> {
    fn walk(prefix: &[String], text: &str, out: &mut Vec<(String, Vec<String>)>) {
        if let Some((head, rest)) = text.split_once('{') {
            let mut prefix = prefix.to_vec();
            prefix.extend(head.split("::").filter(|part| !part.is_empty()).map(str::to_owned));
            let inner = rest.strip_suffix('}').unwrap_or(rest);
            let (mut depth, mut start) = (0_i32, 0);
            for (at, c) in inner.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        walk(&prefix, &inner[start..at], out);
                        start = at + 1;
                    }
                    _ => {}
                }
            }
            walk(&prefix, &inner[start..], out);
            return;
        }
        if text.is_empty() {
            return;
        }
        // White space is gone: `c::d as e` is `c::dase` only after an alias, which no file of this repository needs.
        let mut full = prefix.to_vec();
        full.extend(text.split("::").filter(|part| !part.is_empty() && *part != "self").map(str::to_owned));
        if prefix.is_empty() && text.starts_with("self") {
            full.insert(0, "self".to_owned());
        }
        let name = full.last().cloned().unwrap_or_default();
        out.push((name, full));
    }
    let mut out = Vec::new();
    walk(&[], path, &mut out);
    out
}

/// Paths in code that begin at the crate, at this module or at one that contains it, or at a child.
fn inline_paths(line: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let bytes = line.as_bytes();
    let is_word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    let mut at = 0;
    while at < bytes.len() {
        let before = at.checked_sub(1).map(|i| bytes[i]);
        if !is_word(bytes[at]) || before.is_some_and(|c| is_word(c) || c == b':') {
            at += 1;
            continue;
        }
        let mut end = at;
        while end < bytes.len()
            && (is_word(bytes[end])
                || (bytes[end] == b':' && bytes.get(end + 1) == Some(&b':'))
                || (bytes[end] == b':' && bytes[end - 1] == b':'))
        {
            end += 1;
        }
        let path = &line[at..end];
        if path.contains("::") {
            found.push(path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect());
        }
        at = end.max(at + 1);
    }
    found
}

impl Crate<'_> {
    /// The module whose file defines what `path` names, seen from `from`.
    fn resolve(&self, from: &Module, path: &[String], hops: usize) -> Option<Module> {
        let mut module = from.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                module.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    module.pop()?;
                    rest = &rest[1..];
                }
            }
            first => {
                let child: Module = [from.as_slice(), &[first.to_owned()]].concat();
                self.files.get(&child)?;
            }
        }
        while let Some(part) = rest.first() {
            let child: Module = [module.as_slice(), std::slice::from_ref(part)].concat();
            if self.files.contains_key(&child) {
                module = child;
                rest = &rest[1..];
                continue;
            }
            if let Some(target) = self.exports.get(&module).and_then(|exports| exports.get(part))
                && hops < MOST_HOPS
            {
                let further: Vec<String> = target.iter().chain(&rest[1..]).cloned().collect();
                return self.resolve(&module, &further, hops + 1);
            }
            break;
        }
        Some(module)
    }

    fn imports(&self, module: &Module, file: &Source) -> BTreeSet<Module> {
        let private = statements(file).filter(|(public, _)| !public);
        let used = private.flat_map(|(_, path)| expand(&path)).map(|(_, path)| path);
        let in_code = file.code().filter(|(_, line)| !line.trim_start().starts_with("use ") && !line.contains(" use "));
        // `pub(in path)` is a visibility.
        let inline = in_code.filter(|(_, line)| !line.contains("pub(in ")).flat_map(|(_, line)| inline_paths(line));
        let all = used.chain(inline).filter_map(|path| self.resolve(module, &path, 0));
        all.filter(|other| other != module && self.files.contains_key(other)).collect()
    }

    fn circles(&self) -> Vec<Finding> {
        let arrows: BTreeMap<&Module, BTreeSet<Module>> =
            self.files.iter().map(|(module, file)| (module, self.imports(module, file))).collect();
        let reach = |from: &Module| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(module) = next.pop() {
                for other in arrows.get(&module).into_iter().flatten() {
                    if seen.insert(other.clone()) {
                        next.push(other.clone());
                    }
                }
            }
            seen
        };
        let reached: BTreeMap<&Module, BTreeSet<Module>> =
            self.files.keys().map(|module| (module, reach(module))).collect();
        let mut done = BTreeSet::new();
        let mut findings = Vec::new();
        for (module, file) in &self.files {
            if !reached[module].contains(module) || done.contains(module) {
                continue;
            }
            let circle: Vec<&Module> = self
                .files
                .keys()
                .filter(|other| reached[module].contains(*other) && reached[other].contains(module))
                .collect();
            done.extend(circle.iter().map(|module| (*module).clone()));
            let paths: Vec<&str> = circle.iter().map(|module| self.files[*module].path.as_str()).collect();
            if paths.iter().all(|path| RECURSIVE.contains(path)) {
                continue;
            }
            let arrows = circle.iter().flat_map(|from| {
                let inside = arrows[from].iter().filter(|to| circle.contains(to));
                inside.map(move |to| format!("{} → {}", name(from), name(to)))
            });
            let message = format!("files import each other in a circle: {}", arrows.collect::<Vec<_>>().join(", "));
            findings.push(Finding::new(format!("{}:1", file.path), message));
        }
        findings
    }
}

fn name(module: &Module) -> String {
    if module.is_empty() { "lib".to_owned() } else { module.join("::") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source { path: format!("crates/x/src/{path}"), text: (*text).to_owned() })
            .collect();
        between_files(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn files_that_import_each_other_are_found_through_re_exports() {
        let found = circles(&[
            ("lib.rs", "mod a;\nmod b;\npub use a::A;\npub use b::{B, C};\n"),
            ("a.rs", "use crate::B;\npub struct A;\n"),
            ("b.rs", "pub struct B;\nfn f() {\n    crate::a::g();\n}\n"),
        ]);
        assert_eq!(found, ["crates/x/src/a.rs:1: files import each other in a circle: a → b, b → a"]);
    }

    #[test]
    fn a_parent_that_only_re_exports_is_in_no_circle() {
        let files = [
            ("lib.rs", "mod a;\n"),
            ("a/mod.rs", "mod one;\nmod two;\npub use one::One;\n"),
            ("a/one.rs", "use super::two::Two;\npub struct One;\n#[cfg(test)]\nmod tests { use crate::a::One; }\n"),
            ("a/two.rs", "pub struct Two;\n"),
        ];
        assert_eq!(circles(&files), [""; 0]);
        let mut with = files;
        with[1].1 = "mod one;\nmod two;\nuse one::One;\nstruct Own;\n";
        with[2].1 = "use super::Own;\npub struct One;\n";
        assert_eq!(circles(&with).len(), 1);
    }

    #[test]
    fn a_use_with_braces_names_each_path() {
        let names: Vec<String> =
            expand("crate::a::{self,b::{C,D},e}").into_iter().map(|(_, path)| path.join("::")).collect();
        assert_eq!(names, ["crate::a", "crate::a::b::C", "crate::a::b::D", "crate::a::e"]);
    }
}
