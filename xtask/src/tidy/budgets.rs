//! Budgets of size: no long function, and most files and functions short.

use super::finding::Finding;
use super::source::Source;

/// Longest function, as clippy's `too_many_lines` counts.
const LONGEST_FUNCTION: usize = 60;
/// Nine of ten files have at most this many lines of production code.
const FILE_P90: usize = 250;
/// Nine of ten functions have at most this many lines.
const FUNCTION_P90: usize = 25;

/// A function of a file.
struct Function {
    line: usize,
    size: usize,
    /// A list of equal steps that no split would make clearer; clippy's expectation gives the reason.
    expected: bool,
}

fn begins_function(text: &str) -> bool {
    let qualifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "\"C\""];
    text.split(' ').find(|word| !qualifiers.contains(word)) == Some("fn")
}

/// Functions by the layout of rustfmt: one ends at the first closing brace with its indentation.
fn functions_of(file: &Source) -> Vec<Function> {
    let lines: Vec<(usize, &str)> = file.production().collect();
    let mut found = Vec::new();
    for (at, (number, line)) in lines.iter().enumerate() {
        let text = line.trim_start();
        if !begins_function(text) {
            continue;
        }
        let indent = &line[..line.len() - text.len()];
        let end = format!("{indent}}}");
        let body = lines[at..].iter().take_while(|(_, line)| *line != end);
        let code = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        // A declaration or a body on one line has no brace of its own.
        let short =
            body.clone().take_while(|(_, line)| !line.ends_with('{')).any(|(_, line)| line.ends_with([';', '}']));
        let size = if short { 1 } else { body.filter(|(_, line)| code(line)).count().saturating_sub(1) };
        let expected = lines[..at].iter().rev().take(3).any(|(_, line)| line.contains("clippy::too_many_lines"));
        found.push(Function { line: *number, size, expected });
    }
    found
}

/// No function is longer than a reader can hold in mind.
pub(crate) fn functions(file: &Source) -> Vec<Finding> {
    let long = functions_of(file).into_iter().filter(|function| function.size > LONGEST_FUNCTION && !function.expected);
    long.map(|f| file.at(f.line, format!("a function of {} lines; the limit is {LONGEST_FUNCTION}", f.size))).collect()
}

fn p90(mut sizes: Vec<usize>) -> usize {
    sizes.sort_unstable();
    sizes.get(sizes.len() * 9 / 10).copied().unwrap_or(0)
}

/// Most files and functions are short.
pub(crate) fn percentiles(files: &[Source]) -> Vec<Finding> {
    let files: Vec<&Source> = files.iter().filter(|file| !file.is_test()).collect();
    let file = p90(files.iter().map(|file| file.production_size()).collect());
    let function = p90(files.iter().flat_map(|file| functions_of(file)).map(|function| function.size).collect());
    let mut findings = Vec::new();
    for (what, size, limit) in [("files", file, FILE_P90), ("functions", function, FUNCTION_P90)] {
        if size > limit {
            let message = format!("nine of ten {what} have up to {size} lines; the limit is {limit}");
            findings.push(Finding::new("crates", message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_measured_without_comments_and_blank_lines() {
        let body = "    // why\n\n    step();\n".repeat(61);
        let text = format!(
            "trait T {{\n    fn declared(&self);\n}}\npub(crate) async fn long<'a>(x: &'a str) {{\n{body}}}\n\nfn short() {{\n}}\n"
        );
        let file = Source { path: "crates/a/src/a.rs".to_owned(), text };
        let sizes: Vec<_> = functions_of(&file).iter().map(|function| function.size).collect();
        assert_eq!(sizes, [1, 61, 0]);
        assert_eq!(functions(&file).len(), 1);
    }

    #[test]
    fn one_of_ten_may_be_longer() {
        assert_eq!(p90((1..=10).collect()), 10);
        assert_eq!(p90((1..=100).collect()), 91);
        assert_eq!(p90(Vec::new()), 0);
    }
}
