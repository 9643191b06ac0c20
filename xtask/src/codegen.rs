//! `codegen`: one file per CRD below deploy/crds, written by the program that owns the types.

use crate::shell::{cargo, output, root};
use anyhow::Context as _;
use std::collections::BTreeMap;

const DIR: &str = "deploy/crds";

pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let yaml = output(&mut cargo(["run", "--quiet", "--package", "kollect", "--", "crds"]))?;
    let files = split(&yaml)?;
    let dir = root().join(DIR);
    std::fs::create_dir_all(&dir)?;
    let mut stale = Vec::new();
    for (name, text) in &files {
        let path = dir.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|old| old == *text) {
            continue;
        }
        stale.push(format!("{DIR}/{name}"));
        if !check {
            std::fs::write(path, text)?;
        }
    }
    for entry in std::fs::read_dir(&dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !files.contains_key(&name) {
            stale.push(format!("{DIR}/{name}"));
            if !check {
                std::fs::remove_file(dir.join(&name))?;
            }
        }
    }
    if check {
        anyhow::ensure!(stale.is_empty(), "out of date, run `cargo xtask codegen`: {}", stale.join(", "));
    } else {
        eprintln!("codegen: {} CRDs, {} files changed", files.len(), stale.len());
    }
    Ok(())
}

/// One entry `<plural>.yaml` per document.
fn split(yaml: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for document in yaml.split("---\n").filter(|document| !document.trim().is_empty()) {
        let plural = document.lines().find_map(|line| line.trim().strip_prefix("plural: "));
        let plural = plural.context("a CRD without a plural name")?.trim_matches('"');
        files.insert(format!("{plural}.yaml"), format!("{}\n", document.trim_end()));
    }
    anyhow::ensure!(!files.is_empty(), "`kollect crds` printed nothing");
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_files_named_by_plural() {
        let files = split("---\na: 1\nspec:\n  names:\n    plural: things\n---\nplural: others\n").unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["others.yaml", "things.yaml"]);
        assert_eq!(files["others.yaml"], "plural: others\n");
    }
}
