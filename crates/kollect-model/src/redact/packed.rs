//! Texts that are hidden as a whole: copies of manifests, and compressed data that cannot be scanned.

/// base64 of gzip, of zip, and of base64 of gzip.
const PACKED: [&[u8]; 3] = [b"H4sI", b"UEsDB", b"SDRzSUFB"];
const MIN_PACKED: usize = 32;

/// Whether the text is base64 of compressed data, as tools keep copies of manifests in annotations.
pub(super) fn is_packed(text: &[u8]) -> bool {
    matches!(text[0], b'H' | b'U' | b'S')
        && text.len() >= MIN_PACKED
        && starts_packed(text)
        && text[..MIN_PACKED].iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'-' | b'_'))
}

pub(super) fn starts_packed(text: &[u8]) -> bool {
    PACKED.iter().any(|start| text.starts_with(start))
}

/// Whether an annotation holds a copy of its object, as kubectl, kopf and others keep one.
pub fn is_copy(annotation: &str) -> bool {
    ["last-applied", "last-handled", "/original", "objectset.rio.cattle.io/applied"]
        .iter()
        .any(|part| annotation.contains(part))
}

/// Whether the text is a Kubernetes object in JSON, or a list of them, as annotations of kubectl and of GitOps tools
/// hold them.
pub(super) fn is_manifest(text: &str) -> bool {
    // Unicode has many blanks; most texts begin with a letter.
    if text.as_bytes()[0].is_ascii_alphanumeric() {
        return false;
    }
    text.trim_start().starts_with(['{', '['])
        && ["\"apiVersion\"", "\"kind\"", "\"metadata\""]
            .iter()
            .all(|key| memchr::memmem::find(text.as_bytes(), key.as_bytes()).is_some())
}
