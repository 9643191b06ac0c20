//! Sorts a batch into deletes, upserts and rows that PostgreSQL cannot store, and lays rows out in columns.

use bytes::{BufMut as _, BytesMut};
use kollect_export::Rejected;
use kollect_model::{Change, Row, RowId, item_bytes};
use std::error::Error;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// Rows of one statement at most, in number and in bytes of attributes.
const CHUNK_ROWS: usize = 2_000;
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// A batch, sorted.
#[derive(Default)]
pub(crate) struct SortedBatch<'a> {
    pub(crate) deletes: Vec<&'a RowId>,
    pub(crate) upserts: Vec<&'a Row>,
    pub(crate) rejected: Vec<Rejected>,
}

impl<'a> SortedBatch<'a> {
    pub(crate) fn from(changes: &'a [Change]) -> Self {
        let mut sorted = Self::default();
        for change in changes {
            match change {
                Change::Delete(deleted) => sorted.deletes.push(&deleted.id),
                Change::Upsert(row) if has_nul(row) => sorted.rejected.push(Rejected {
                    id: row.id.clone(),
                    why: "it contains the character U+0000, which PostgreSQL cannot store".into(),
                }),
                Change::Upsert(row) => sorted.upserts.push(row),
            }
        }
        sorted
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deletes.is_empty() && self.upserts.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.deletes.len() + self.upserts.len()
    }

    /// About as many bytes as are sent: keys and attributes.
    pub(crate) fn bytes(&self) -> usize {
        const NAMES: usize = 256;
        NAMES * self.len() + self.upserts.iter().map(|row| row.attributes.get().len()).sum::<usize>()
    }
}

fn has_nul(row: &Row) -> bool {
    escapes_nul(row.attributes.get())
        || row.object.name.contains('\0')
        || row.object.namespace.contains('\0')
        || row.id.uid.to_string().contains('\0')
}

/// Whether JSON text has the escape `\u0000` (and not an escaped backslash before `u0000`).
fn escapes_nul(json: &str) -> bool {
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at + 1..];
        if escape.starts_with("u0000") {
            return true;
        }
        // The character after the backslash belongs to it, whatever it is; JSON escapes start with an ASCII one.
        rest = escape.get(1..).unwrap_or_default();
    }
    false
}

/// The leading rows that make one statement.
pub(crate) fn chunk<'s, 'r>(rows: &'s [&'r Row]) -> (&'s [&'r Row], &'s [&'r Row]) {
    let mut bytes = 0;
    let count = rows
        .iter()
        .take(CHUNK_ROWS)
        .take_while(|row| {
            let fits = bytes < CHUNK_BYTES;
            bytes += row.attributes.get().len();
            fits
        })
        .count();
    rows.split_at(count)
}

/// One column per vector.
pub(crate) struct Columns<'a> {
    pub(crate) target_namespaces: Vec<&'a str>,
    pub(crate) target_names: Vec<&'a str>,
    pub(crate) uids: Vec<String>,
    pub(crate) namespaces: Vec<&'a str>,
    pub(crate) payloads: Vec<Jsonb>,
    pub(crate) digests: Vec<&'a [u8]>,
    pub(crate) bytes: u64,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(rows: &[&'a Row], inventory_namespace: &'a str) -> Self {
        let payloads: Vec<Jsonb> = rows.iter().map(|row| Jsonb(item_bytes(row))).collect();
        Self {
            target_namespaces: rows.iter().map(|row| &*row.id.target.namespace).collect(),
            target_names: rows.iter().map(|row| &*row.id.target.name).collect(),
            uids: rows.iter().map(|row| row.id.uid.to_string()).collect(),
            namespaces: rows.iter().map(|row| resource_namespace(row, inventory_namespace)).collect(),
            digests: rows.iter().map(|row| &row.digest.0[..]).collect(),
            bytes: payloads.iter().map(|payload| payload.0.len() as u64).sum(),
            payloads,
        }
    }
}

/// The object's namespace; the inventory's for a cluster-scoped object, as readers of the table expect.
pub(crate) fn resource_namespace<'a>(row: &'a Row, inventory_namespace: &'a str) -> &'a str {
    if row.object.namespace.is_empty() { inventory_namespace } else { &row.object.namespace }
}

/// JSON text that is sent as it is.
#[derive(Debug)]
pub(crate) struct Jsonb(pub(crate) Vec<u8>);

impl ToSql for Jsonb {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        // The binary form of jsonb is a version byte and the text.
        out.put_u8(1);
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSONB
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_real_nul_escape_is_found() {
        assert!(escapes_nul(r#"{"a":"x\u0000"}"#));
        assert!(escapes_nul(r#"{"a":"\\\u0000"}"#));
        assert!(!escapes_nul(r#"{"a":"\\u0000 \u0001 ü"}"#));
        assert!(!escapes_nul(r#"{"a":"\""}"#));
    }
}
