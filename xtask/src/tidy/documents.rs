//! Paths in documents: a file that a document names exists.

use super::finding::Finding;
use super::source::Source;
use std::path::Path;

const TOP: [&str; 5] = ["crates/", "docs/", "deploy/", "examples/", "xtask/"];

/// Paths of the repository between back quotes. `<kind>` is a place to fill in.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|text| TOP.iter().any(|top| text.starts_with(top)) && !text.contains(['<', '*', ' ', '{']))
}

/// Every file that a document names exists.
pub(crate) fn paths_exist(root: &Path, file: &Source) -> Vec<Finding> {
    let lines = file.text.lines().enumerate();
    let missing = lines.flat_map(|(at, line)| paths(line).map(move |path| (at, path)));
    missing
        .filter(|(_, path)| !root.join(path).exists())
        .map(|(at, path)| file.at(at + 1, format!("`{path}` does not exist")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_exist_is_found() {
        let text = "see `crates/none/src/lib.rs` and `crates/<kind>.rs` and `src/a.rs`\n";
        let file = Source { path: "docs/a.md".to_owned(), text: text.to_owned() };
        let found = paths_exist(Path::new("."), &file);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "docs/a.md:1: `crates/none/src/lib.rs` does not exist");
    }
}
