//! Names: one public type name for one thing, and reasons of conditions only from their list.

use super::finding::Finding;
use super::source::Source;
use anyhow::Context as _;
use std::collections::{BTreeMap, BTreeSet};

/// Crates that may define a public type of one name. `Config` and the like are the same thing in each sink.
const MOST_CRATES: usize = 2;
/// The same role in every sink.
const ROLES: [&str; 2] = ["Config", "Error"];
/// Reasons of the `Status` of an API answer, which Kubernetes names.
const STATUS_REASONS: &str = "crates/kollect-admission/src/protocol.rs";
const REASONS: &str = "crates/kollect-model/src/reason.rs";

/// A public type name means one thing.
pub(crate) fn shared_type_names(files: &[Source]) -> Vec<Finding> {
    let mut defined: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.is_test()) {
        for (at, line) in file.code() {
            let Some(name) = public_type(line) else { continue };
            defined.entry(name).or_default().entry(file.package()).or_insert(format!("{}:{at}", file.path));
        }
    }
    let shared = defined.into_iter().filter(|(name, crates)| crates.len() > MOST_CRATES && !ROLES.contains(name));
    shared
        .flat_map(|(name, crates)| {
            let several = format!("`{name}` is a public type of {} crates: name the thing", crates.len());
            crates.into_values().map(move |place| Finding::new(place, several.clone()))
        })
        .collect()
}

fn public_type(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) "))?;
    let rest = ["struct ", "enum ", "trait ", "type "].iter().find_map(|kind| rest.strip_prefix(kind))?;
    rest.split(|c: char| !c.is_alphanumeric()).next().filter(|name| !name.is_empty())
}

/// Conditions, events and sink errors take their reasons from the one list.
pub(crate) fn reason_literals(files: &[Source]) -> anyhow::Result<Vec<Finding>> {
    let list = files.iter().find(|file| file.path == REASONS).with_context(|| format!("{REASONS} is missing"))?;
    let variants = list.code().filter_map(|(_, line)| line.strip_prefix("    ")?.strip_suffix(','));
    let reasons: BTreeSet<String> = variants
        .filter(|name| name.chars().all(char::is_alphanumeric) && name.starts_with(char::is_uppercase))
        .map(|name| format!("\"{name}\""))
        .collect();
    anyhow::ensure!(reasons.len() > 20, "{REASONS}: no list of reasons found");
    let mut findings = Vec::new();
    for file in files
        .iter()
        .filter(|file| ![REASONS, STATUS_REASONS].contains(&file.path.as_str()) && !file.is_test() && !file.is_tool())
    {
        for (at, line) in file.code() {
            // A condition type may have the name of a reason.
            if line.contains("kind: \"") {
                continue;
            }
            if let Some(reason) = reasons.iter().find(|reason| line.contains(reason.as_str())) {
                findings.push(file.at(at, format!("{reason} is a reason: use `Reason`")));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_public_name_of_three_crates_is_found_in_each() {
        let file =
            |name: &str| source(&format!("crates/{name}/src/a.rs"), "pub struct State {\n}\npub(crate) enum Own {}\n");
        assert!(shared_type_names(&[file("a"), file("b")]).is_empty());
        assert_eq!(shared_type_names(&[file("a"), file("b"), file("c")]).len(), 6);
    }

    #[test]
    fn a_literal_of_a_reason_is_found_outside_of_the_list() {
        let letters: Vec<String> = ('A'..='Y').map(|letter| format!("    {letter}eason,")).collect();
        let list = source(REASONS, &letters.join("\n"));
        let user = source("crates/a/src/a.rs", "let x = \"Aeason\";\n// \"Beason\"\nlet y = \"Zeason\";\n");
        let found = reason_literals(&[list, user]).unwrap();
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["crates/a/src/a.rs:1: \"Aeason\" is a reason: use `Reason`"]
        );
    }
}
