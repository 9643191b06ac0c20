//! Segments of paths: what a value may bring into one, which are refused, and where a part's number goes.

use std::borrow::Cow;

/// Folder of the ownership records; no layout may write into it.
pub(super) const RECORD_FOLDER: &str = ".kollect";

/// A values-to-path failure, without values.
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

/// A value as part of one segment: separators and repeated dots become `-`, and the ends are clean after cutting too.
pub(super) fn sanitise(value: &str, longest: usize) -> Cow<'_, str> {
    let separates = |c: char| matches!(c, '/' | '\\' | ':') || c.is_control();
    let value = value.trim();
    if value.len() <= longest && !value.contains(separates) && !value.contains("..") {
        return Cow::Borrowed(value.trim_matches(['.', '-']));
    }
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
    let clean = clean.trim_matches(['.', '-']);
    let cut = clean.floor_char_boundary(longest.min(clean.len()));
    Cow::Owned(clean[..cut].trim_matches(['.', '-']).to_owned())
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
