//! Reading the API server's audit log: what one user asked for.
//!
//! Tests and the bench count requests with it.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One request, once, whatever number of stages the log has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who asked.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// Plural of the resource, with `/subresource` where there is one; empty for non-resource paths.
    pub resource: String,
    /// Namespace; empty when there is none.
    pub namespace: String,
    /// Name; empty for collections.
    pub name: String,
    /// Path and query.
    pub uri: String,
    /// HTTP status; 0 while the answer has not started.
    pub status: u64,
}

/// The requests of `user` in the log from byte `from` on, and the length read, to be the next `from`.
pub fn read_audit_log(path: &Path, from: u64, user: &str) -> anyhow::Result<(Vec<AuditEntry>, u64)> {
    use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut reader = BufReader::new(file);
    let (mut entries, mut seen, mut at) = (Vec::new(), BTreeSet::new(), from);
    let mut line = String::new();
    loop {
        line.clear();
        let read = reader.read_line(&mut line)?;
        // A line without its end is still being written.
        if read == 0 || !line.ends_with('\n') {
            return Ok((entries, at));
        }
        at += read as u64;
        let event: Value = serde_json::from_str(&line)?;
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text("/user/username") != user || !seen.insert(text("/auditID")) {
            continue;
        }
        let (mut resource, sub) = (text("/objectRef/resource"), text("/objectRef/subresource"));
        if !sub.is_empty() {
            resource = format!("{resource}/{sub}");
        }
        entries.push(AuditEntry {
            user: text("/user/username"),
            verb: text("/verb"),
            resource,
            namespace: text("/objectRef/namespace"),
            name: text("/objectRef/name"),
            uri: text("/requestURI"),
            status: event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or(0),
        });
    }
}

/// Number of requests by verb.
pub fn count_by_verb(entries: &[AuditEntry]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for entry in entries {
        *counts.entry(entry.verb.clone()).or_default() += 1;
    }
    counts
}
