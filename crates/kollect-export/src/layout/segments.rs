//! Segments of paths: sanitising of values, refused segments, part numbers.

use kollect_model::Digest;
use std::borrow::Cow;

/// Folder of the ownership records; no layout may write into it.
pub(super) const RECORD_FOLDER: &str = ".kollect";

/// Why a path cannot be rendered, without values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No segment is left.
    #[error("every segment of the path is empty")]
    Empty,
    /// A segment is `.` or `..`.
    #[error("a segment of the path is \".\" or \"..\"")]
    Dots,
    /// A segment that Git or the ownership record needs.
    #[error("the path uses a name that is reserved (.git, or .kollect at the top)")]
    Reserved,
}

/// Limits of a value in a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Longest value in bytes.
    pub(super) longest: usize,
    /// Values that differ only in case must not share a path.
    pub(super) one_case: bool,
}

impl Limits {
    /// For values of which a binding has only one: names of clusters and inventories.
    pub(super) const WHOLE: Self = Self { longest: usize::MAX, one_case: false };
}

/// Names that Windows keeps for devices, whatever extension follows.
const DEVICES: [&str; 7] = ["con", "prn", "aux", "nul", "clock$", "conin$", "conout$"];
/// Hex digits of the hash in an altered value.
const HASH_DIGITS: usize = 8;

/// A value as part of one segment. An ordinary value is unchanged; a value that is cut or altered ends in `-` and the
/// hash of the full value, so that different values stay different.
pub(super) fn sanitise(value: &str, limits: Limits) -> Cow<'_, str> {
    if value.is_empty() || is_ordinary(value, limits) {
        return Cow::Borrowed(value);
    }
    let clean = replace_separators(value);
    let clean = trim_ends(&clean);
    let stem = if is_device(clean) { Cow::Owned(clean.replace('.', "-")) } else { Cow::Borrowed(clean) };
    let room = limits.longest.saturating_sub(HASH_DIGITS + 1).min(stem.len());
    let stem = trim_ends(&stem[..stem.floor_char_boundary(room)]);
    let hash = Digest::of(value.as_bytes()).to_string();
    Cow::Owned(format!("{}-{}", if stem.is_empty() { "x" } else { stem }, &hash[..HASH_DIGITS]))
}

fn is_ordinary(value: &str, limits: Limits) -> bool {
    let ends = |c: char| c.is_whitespace() || matches!(c, '.' | '-');
    // Unicode has several encodings of a letter, which some file systems treat as one name.
    let other_case = |c: char| c.is_ascii_uppercase() || !c.is_ascii();
    value.len() <= limits.longest
        && !value.starts_with(ends)
        && !value.ends_with(ends)
        && !value.contains(separates)
        && !value.contains("..")
        && !is_device(value)
        && !(limits.one_case && value.contains(other_case))
}

/// Separators of paths, and characters with a meaning on Windows or in Git on Windows.
fn separates(c: char) -> bool {
    matches!(c, '/' | '\\' | ':' | '<' | '>' | '"' | '|' | '?' | '*' | '~') || c.is_control()
}

fn is_device(value: &str) -> bool {
    let name = value.split('.').next().unwrap_or(value).trim_end();
    let numbered = |name: &str| {
        let port =
            name.get(..3).is_some_and(|word| ["com", "lpt"].iter().any(|known| word.eq_ignore_ascii_case(known)));
        let number = name.get(3..).unwrap_or_default();
        port && matches!(number, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
    };
    DEVICES.iter().any(|device| name.eq_ignore_ascii_case(device)) || numbered(name)
}

/// Runs of separators, and two or more dots, become one `-`.
fn replace_separators(value: &str) -> String {
    let mut clean = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        if separates(c) {
            while chars.next_if(|&next| separates(next)).is_some() {}
            clean.push('-');
        } else if c == '.' && chars.next_if_eq(&'.').is_some() {
            while chars.next_if_eq(&'.').is_some() {}
            clean.push('-');
        } else {
            clean.push(c);
        }
    }
    clean
}

fn trim_ends(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '.' | '-'))
}

/// The form in which two paths are compared, for file systems that do not distinguish case.
pub(super) fn folded(path: &str) -> Cow<'_, str> {
    if path.contains(char::is_uppercase) { Cow::Owned(path.to_lowercase()) } else { Cow::Borrowed(path) }
}

pub(super) fn join_segments(path: String) -> Result<String, PathError> {
    let mut first = true;
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        if matches!(segment, "." | "..") {
            return Err(PathError::Dots);
        }
        if segment.eq_ignore_ascii_case(".git") || (first && segment.eq_ignore_ascii_case(RECORD_FOLDER)) {
            return Err(PathError::Reserved);
        }
        first = false;
    }
    if first {
        return Err(PathError::Empty);
    }
    if path.starts_with('/') || path.ends_with('/') || path.contains("//") {
        return Ok(path.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/"));
    }
    Ok(path)
}

/// The path of part `index` of `total`: `daily.json` becomes `daily.part-0002-of-0003.json`.
pub(super) fn part_path(path: &str, index: u32, total: u32) -> String {
    let name_at = path.rfind('/').map_or(0, |slash| slash + 1);
    let dot = path[name_at..].rfind('.').map_or(path.len(), |dot| name_at + dot);
    format!("{}.part-{index:04}-of-{total:04}{}", &path[..dot], &path[dot..])
}
