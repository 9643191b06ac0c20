//! Lines of one kind in the summary of a collection: the first ones, then how many more there are.

/// Lines of one kind without `--verbose`.
pub(super) const MOST_LINES: usize = 20;

/// Shows `most` lines, then how many more there are.
pub(super) fn list(most: usize, all: impl Iterator<Item = String>, show: impl Fn(String)) {
    let mut more = 0_usize;
    for (at, line) in all.enumerate() {
        if at < most {
            show(format!(" {line}"));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        show(format!(" and {more} more; -v names all"));
    }
}

/// A count with its noun in singular or plural.
pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
