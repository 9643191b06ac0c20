//! Checks that read one source file: size, header, purity, clocks, references that mean nothing to a reader.

use super::finding::Finding;
use super::source::Source;

const SIZE_WARNING: usize = 300;
const SIZE_LIMIT: usize = 400;
const HEADER_LIMIT: usize = 8;

/// Folders and files that have no clock, no network and no `await`: everything comes in as a value.
const PURE: [&str; 15] = [
    "crates/kollect-manifest/src/",
    "crates/kollect-model/src/",
    "crates/kollect-extract/src/",
    "crates/kollect-rules/src/",
    "crates/kollect-store/src/",
    "crates/kollect-collect/src/plan",
    "crates/kollect-collect/src/matching",
    "crates/kollect-collect/src/intake",
    "crates/kollect-export/src/cadence",
    "crates/kollect-export/src/breaker",
    "crates/kollect-export/src/binding",
    "crates/kollect-export/src/engine/lane",
    "crates/kollect-export/src/engine/breaker_round",
    "crates/kollect-export/src/layout",
    "crates/kollect-export/src/encode",
];
const IMPURE_WORDS: [&str; 9] = [
    "tokio::",
    ".await",
    "async fn",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "std::fs",
    "std::net",
    "std::thread::sleep",
];
/// The wall clock is read in files with this name and nowhere else.
const CLOCK_FILE: &str = "/clock.rs";
const WALL_CLOCK: [&str; 3] = ["SystemTime::now", "Timestamp::now", "Zoned::now"];
const COMMANDS: [&str; 2] = ["crates/kollect-cli/src/", "crates/kollect/src/"];
/// The second writes log lines as JSON, which has escapes of its own.
const WRITERS: [&str; 2] = ["crates/kollect-cli/src/terminal/output.rs", "crates/kollect/src/logging.rs"];
const STREAMS: [&str; 5] = ["io::stdout", "io::stderr", "println!", "eprint!", " print!"];
const MACHINE_PATHS: [&str; 4] = ["/home/", "/root/", "/Users/", "/work/"];

/// No file is longer than a reader can hold in mind.
pub(crate) fn size(file: &Source) -> Option<Finding> {
    let lines = file.production_size();
    (lines > SIZE_LIMIT).then(|| file.at(1, format!("{lines} lines of production code; the limit is {SIZE_LIMIT}")))
}

/// A warning, not a failure.
pub(crate) fn size_warning(file: &Source) -> Option<Finding> {
    let lines = file.production_size();
    let long = lines > SIZE_WARNING && lines <= SIZE_LIMIT;
    long.then(|| file.at(1, format!("{lines} lines of production code; aim for {SIZE_WARNING}")))
}

/// Every module has a header, in few lines.
pub(crate) fn header(file: &Source) -> Option<Finding> {
    match file.text.lines().take_while(|line| line.starts_with("//!")).count() {
        0 => Some(file.at(1, "starts without a `//!` header that says what the module is")),
        lines if lines > HEADER_LIMIT => {
            Some(file.at(1, format!("header of {lines} lines; the limit is {HEADER_LIMIT}")))
        }
        _ => None,
    }
}

/// Pure modules get time and data as values.
pub(crate) fn purity(file: &Source) -> Vec<Finding> {
    let is_pure = |pure: &str| {
        // `plan` names `plan.rs` and everything in `plan/`, but not `planner.rs`.
        file.path.strip_prefix(pure).is_some_and(|rest| pure.ends_with('/') || rest.starts_with(['.', '/']))
    };
    if file.is_test() || !PURE.iter().any(|pure| is_pure(pure)) {
        return Vec::new();
    }
    file.each_word(&IMPURE_WORDS, |word| format!("`{word}` in a pure module"))
}

/// The wall clock is read in one place, so that tests can set it.
pub(crate) fn wall_clock(file: &Source) -> Vec<Finding> {
    if file.is_test() || file.is_tool() || file.path.ends_with(CLOCK_FILE) {
        return Vec::new();
    }
    file.each_word(&WALL_CLOCK, |word| format!("`{word}` outside the clock's file"))
}

/// Commands write to the standard streams in one place, which cleans what a terminal would obey.
pub(crate) fn one_writer(file: &Source) -> Vec<Finding> {
    let of_commands = COMMANDS.iter().any(|folder| file.path.starts_with(folder));
    if file.is_test() || !of_commands || WRITERS.contains(&file.path.as_str()) {
        return Vec::new();
    }
    file.each_word(&STREAMS, |word| format!("`{word}` outside {}", WRITERS[0]))
}

/// Ticket numbers and paths of one machine mean nothing to the next reader.
pub(crate) fn private_references(file: &Source) -> Vec<Finding> {
    if file.path.ends_with("tidy/sources.rs") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let comment = line.find("//").map_or("", |from| &line[from..]);
        if has_ticket(comment) {
            findings.push(file.at(at + 1, "ticket number in a comment: write the reason instead"));
        }
        if let Some(path) = MACHINE_PATHS.iter().find(|path| line.contains(&format!("\"{path}"))) {
            findings.push(file.at(at + 1, format!("path of one machine (`{path}…`)")));
        }
    }
    findings
}

/// `#123`, `OQ-4`, `W-17`.
fn has_ticket(comment: &str) -> bool {
    let digit_after = |mark: &str| {
        comment.match_indices(mark).any(|(at, _)| {
            let free =
                comment[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric() && before != '&');
            free && comment[at + mark.len()..].starts_with(|c: char| c.is_ascii_digit())
        })
    };
    ["#", "OQ-", "W-", "issue #", "GH-"].iter().any(|mark| digit_after(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_long_file_fails_without_its_tests_and_blank_lines() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(600));
        assert!(size(&source("crates/a/src/a.rs", &format!("{}{tests}", "x\n\n".repeat(400)))).is_none());
        assert!(size(&source("crates/a/src/a.rs", &"x\n".repeat(401))).is_some());
        assert!(size_warning(&source("crates/a/src/a.rs", &"x\n".repeat(301))).is_some());
        assert!(size(&source("crates/a/tests/it/a.rs", &"x\n".repeat(401))).is_none());
    }

    #[test]
    fn a_header_is_needed_and_short() {
        assert!(header(&source("crates/a/src/a.rs", "use a;\n")).is_some());
        assert!(header(&source("crates/a/src/a.rs", &"//! a\n".repeat(9))).is_some());
        assert!(header(&source("crates/a/src/a.rs", &"//! a\n".repeat(8))).is_none());
    }

    #[test]
    fn clocks_and_awaits_are_found_in_pure_modules_only() {
        let text = "//! A.\n// .await is not code here\nlet x = f().await;\n#[cfg(test)]\nmod tests { tokio::x }\n";
        let found = purity(&source("crates/kollect-export/src/engine/lane/state.rs", text));
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["crates/kollect-export/src/engine/lane/state.rs:3: `.await` in a pure module"]
        );
        assert!(purity(&source("crates/kollect-export/src/engine/lane_task.rs", text)).is_empty());
        assert!(purity(&source("crates/kollect-export/src/engine/lanes.rs", text)).is_empty());
        assert_eq!(wall_clock(&source("crates/kollect/src/a.rs", "SystemTime::now()")).len(), 1);
        assert!(wall_clock(&source("crates/kollect/src/clock.rs", "SystemTime::now()")).is_empty());
    }

    #[test]
    fn a_second_place_that_writes_to_a_terminal_is_found() {
        let text = "//! A.\neprintln!(\"x\");\nstd::io::stdout().lock();\n";
        let found = one_writer(&source("crates/kollect-cli/src/diff/print.rs", text));
        assert_eq!(found.len(), 2);
        assert!(one_writer(&source("crates/kollect-cli/src/terminal/output.rs", text)).is_empty());
        assert!(one_writer(&source("crates/kollect-testkit/src/demo/mod.rs", text)).is_empty());
    }

    #[test]
    fn tickets_and_machine_paths_are_found() {
        for (line, bad) in [
            ("// see #123", true),
            ("// as W-10 says", true),
            ("// a #[test] and &#38; and v1#2", false),
            ("let x = \"/home/me\";", true),
            ("let x = \"/api/v1\";", false),
        ] {
            assert_eq!(!private_references(&source("crates/a/src/a.rs", line)).is_empty(), bad, "{line}");
        }
    }
}
