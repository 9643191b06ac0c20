//! The language of comments, documents and test names: the field's words, and the mechanism named.

use super::finding::Finding;
use super::source::Source;

/// Words for people where code is meant, and metaphors. Text that needs one is better with the name of the mechanism.
const BANNED: [&str; 36] = [
    "say",
    "says",
    "said",
    "saying",
    "tell",
    "tells",
    "told",
    "telling",
    "hear",
    "hears",
    "heard",
    "look",
    "looks",
    "looked",
    "looking",
    "stand",
    "stands",
    "stood",
    "standing",
    "nobody",
    "somebody",
    "everybody",
    "anybody",
    "whoever",
    "ill",
    "mend",
    "mends",
    "mended",
    "bell",
    "owed",
    "owes",
    "doubt",
    "doubts",
    "void",
    "whatsoever",
    "naught",
];
const TEMPLATES: [&str; 3] = ["Separate because", "Separate from", "Separate so that"];

fn banned(text: &str) -> Option<&str> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '`');
    words.filter(|word| !word.contains('`')).find(|word| BANNED.contains(&word.to_lowercase().as_str()))
}

/// The part of a line that is a comment.
fn comment(line: &str) -> &str {
    let text = line.trim_start();
    if text.starts_with("//") {
        return text;
    }
    // A comment after code; `://` is part of an address.
    line.find(" // ").map_or("", |at| &line[at..])
}

/// Comments name the mechanism.
pub(crate) fn comments(file: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let comment = comment(line);
        if let Some(word) = banned(comment) {
            findings.push(file.at(at + 1, format!("`{word}` in a comment: name the mechanism")));
        }
        if let Some(template) = TEMPLATES.iter().find(|template| comment.contains(**template)) {
            findings.push(file.at(at + 1, format!("`{template}`: what does the module do?")));
        }
    }
    findings
}

/// Tests are sentences in the same language.
pub(crate) fn test_names(file: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let Some(name) = line.trim_start().trim_start_matches("async ").strip_prefix("fn ") else { continue };
        let name = name.split('(').next().unwrap_or_default();
        if name.matches('_').count() < 3 {
            continue;
        }
        if let Some(word) = name.split('_').find(|word| BANNED.contains(word)) {
            findings.push(file.at(at + 1, format!("`{word}` in the name of a test: name the mechanism")));
        }
    }
    findings
}

/// Documents name the mechanism, outside of blocks of code.
pub(crate) fn document(file: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_block = false;
    for (at, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if let Some(word) = banned(line).filter(|_| !in_block) {
            findings.push(file.at(at + 1, format!("`{word}` in a document: name the mechanism")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        let file = Source { path: path.to_owned(), text: text.to_owned() };
        comments(&file).len() + test_names(&file).len()
    }

    #[test]
    fn words_for_people_are_found_in_comments_and_test_names() {
        for (line, bad) in [
            ("/// The server says how long.", 1),
            (concat!("let x = 1; /", "/ nobody reads it"), 1),
            ("//! Separate because it is pure.", 1),
            ("    fn a_sink_says_what_it_holds() {", 1),
            ("/// Looks up a name with lookup().", 1),
            ("/// A `look` in code, a lookup, and illness.", 0),
            ("let says = \"somebody\";", 0),
            ("fn says() {", 0),
        ] {
            assert_eq!(found("crates/a/src/a.rs", line), bad, "{line}");
        }
    }

    #[test]
    fn blocks_of_code_in_documents_are_not_read() {
        let text = "# Title\n```sh\necho nobody\n```\nThe tool says so.\n";
        let findings = document(&Source { path: "docs/a.md".to_owned(), text: text.to_owned() });
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].to_string(), "docs/a.md:5: `says` in a document: name the mechanism");
    }
}
