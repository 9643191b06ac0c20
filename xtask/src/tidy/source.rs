//! A Rust file of the repository, as the checks read it: lines, not syntax.

use super::finding::Finding;
use anyhow::Context as _;
use std::path::Path;

/// Programs for developers: no part of the operator.
const TOOLS: [&str; 2] = ["crates/kollect-testkit/", "xtask/"];

/// A Rust file.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every Rust file below `crates` and `xtask`.
pub(crate) fn read(root: &Path) -> anyhow::Result<Vec<Source>> {
    let mut files = Vec::new();
    for top in ["crates", "xtask"] {
        collect(root, &root.join(top), "rs", &mut files)?;
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Every Markdown file of the repository.
pub(crate) fn read_documents(root: &Path) -> anyhow::Result<Vec<Source>> {
    let mut files = Vec::new();
    for top in ["crates", "deploy", "docs"] {
        collect(root, &root.join(top), "md", &mut files)?;
    }
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            files.push(open(root, &path)?);
        }
    }
    Ok(files)
}

fn collect(root: &Path, dir: &Path, extension: &str, files: &mut Vec<Source>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(root, &path, extension, files)?;
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(open(root, &path)?);
        }
    }
    Ok(())
}

fn open(root: &Path, path: &Path) -> anyhow::Result<Source> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Source { path: path.strip_prefix(root)?.display().to_string(), text })
}

impl Source {
    /// The folder of its crate.
    pub(crate) fn package(&self) -> &str {
        let parts: Vec<(usize, &str)> = self.path.match_indices('/').collect();
        let depth =
            if self.path.starts_with("crates/sinks/") { 2 } else { usize::from(self.path.starts_with("crates/")) };
        parts.get(depth).map_or(&self.path, |(at, _)| &self.path[..*at])
    }

    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.contains("/benches/") || self.path.ends_with("/tests.rs")
    }

    pub(crate) fn is_tool(&self) -> bool {
        TOOLS.iter().any(|tool| self.path.starts_with(tool))
    }

    /// Numbered lines before the test module, which is the end of a file by convention.
    pub(crate) fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        let test_file = self.is_test();
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line)).take_while(move |(_, line)| {
            !test_file && !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test")
        })
    }

    /// Production lines that are code, not comment.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.production().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    pub(crate) fn production_size(&self) -> usize {
        self.production().filter(|(_, line)| !line.trim().is_empty()).count()
    }

    pub(crate) fn at(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding::new(format!("{}:{line}", self.path), what)
    }

    pub(crate) fn each_word(&self, words: &[&str], message: impl Fn(&str) -> String) -> Vec<Finding> {
        let hits = self
            .code()
            .flat_map(|(at, line)| words.iter().filter(move |word| line.contains(**word)).map(move |word| (at, *word)));
        hits.map(|(at, word)| self.at(at, message(word))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_its_crate() {
        let package = |path: &str| Source { path: path.to_owned(), text: String::new() }.package().to_owned();
        assert_eq!(package("crates/kollect-store/src/a/b.rs"), "crates/kollect-store");
        assert_eq!(package("crates/sinks/kollect-sink-git/src/lib.rs"), "crates/sinks/kollect-sink-git");
        assert_eq!(package("xtask/src/main.rs"), "xtask");
    }
}
