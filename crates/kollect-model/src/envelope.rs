//! Items and envelopes: the JSON that document sinks write, byte for byte.

use crate::hex::hex;
use crate::row::{Row, write_item};
use crate::write_string;
use sha2::{Digest as _, Sha256};
use std::cmp::Ordering;
use std::io::{self, Write};

/// Version string of the data contract.
pub const SCHEMA_VERSION: &str = "kollect.dev/v1alpha1";

/// SHA-256 of the empty item list `[]`.
pub const EMPTY_ITEMS_FINGERPRINT: &str = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945";

/// The Item of a row as its own buffer.
pub fn item_bytes(row: &Row) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + row.attributes.get().len());
    write_item(row, &mut out);
    out
}

/// Canonical order: target namespace, target name, namespace, name, uid, group, version, kind, byte-wise with a NUL between.
pub fn canonical_cmp(a: &Row, b: &Row) -> Ordering {
    // Comparing part by part equals comparing the NUL-joined text, because no part contains NUL or anything below it.
    a.id.target
        .namespace
        .cmp(&b.id.target.namespace)
        .then_with(|| a.id.target.name.cmp(&b.id.target.name))
        .then_with(|| a.object.namespace.cmp(&b.object.namespace))
        .then_with(|| a.object.name.cmp(&b.object.name))
        .then_with(|| a.id.uid.to_string().cmp(&b.id.uid.to_string()))
        .then_with(|| a.object.gvk.cmp(&b.object.gvk))
}

/// Computes the SHA-256 of what is written to it. Writing cannot fail.
#[derive(Clone, Debug, Default)]
pub struct HashWriter(Sha256);

impl HashWriter {
    /// The hash of everything so far, in lower-case hex.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_items<'a>(rows: impl IntoIterator<Item = &'a Row>, out: &mut impl Write) -> io::Result<()> {
    let mut item = Vec::with_capacity(1024);
    out.write_all(b"[")?;
    for (i, row) in rows.into_iter().enumerate() {
        item.clear();
        if i > 0 {
            item.push(b',');
        }
        write_item(row, &mut item);
        out.write_all(&item)?;
    }
    out.write_all(b"]")
}

/// Lower-case hex SHA-256 of the canonical JSON array of the rows' Items. `rows` must be in canonical order.
pub fn fingerprint_items<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    let mut hashing = HashWriter::default();
    // Hashing cannot fail.
    let _ = write_items(rows, &mut hashing);
    hashing.finish()
}

/// The head of a document export. Zero and empty fields are left out, as the data contract requires.
#[derive(Clone, Debug, Default)]
pub struct Envelope<'a> {
    /// Fingerprint of the items.
    pub checksum: &'a str,
    /// `metadata.generation` of the inventory.
    pub generation: i64,
    /// 1-based part number; 0 when the document is whole.
    pub part_index: u32,
    /// Number of parts; 0 when the document is whole.
    pub part_total: u32,
    /// RFC 3339 UTC.
    pub exported_at: &'a str,
    /// `spec.cluster` of the sink.
    pub cluster: &'a str,
}

impl Envelope<'_> {
    /// Writes the whole document. `rows` must be in canonical order.
    pub fn write<'a>(&self, rows: &[impl AsRef<Row> + 'a], out: &mut impl Write) -> io::Result<()> {
        let mut head = Vec::with_capacity(256);
        head.extend_from_slice(b"{\"schemaVersion\":\"kollect.dev/v1alpha1\",\"checksum\":");
        write_string(self.checksum, &mut head);
        for (key, value) in [
            ("generation", self.generation),
            ("partIndex", i64::from(self.part_index)),
            ("partTotal", i64::from(self.part_total)),
        ] {
            if value != 0 {
                write!(head, ",\"{key}\":{value}")?;
            }
        }
        write!(head, ",\"itemCount\":{},\"exportedAt\":", rows.len())?;
        write_string(self.exported_at, &mut head);
        if !self.cluster.is_empty() {
            head.extend_from_slice(b",\"cluster\":");
            write_string(self.cluster, &mut head);
        }
        head.extend_from_slice(b",\"items\":");
        out.write_all(&head)?;
        write_items(rows.iter().map(AsRef::as_ref), out)?;
        out.write_all(b"}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gvk, ObjectKey, RowId, TargetKey, Uid, write_value};
    use serde_json::{Value, json, value::RawValue};
    use std::sync::Arc;

    fn row(target: (&str, &str), kind: &Gvk, object: (&str, &str), uid: &str, attributes: &Value) -> Arc<Row> {
        let mut json = Vec::new();
        write_value(attributes, &mut json).unwrap();
        let id = RowId { target: Arc::new(TargetKey::namespaced(target.0, target.1)), uid: Uid::parse(uid) };
        let object = ObjectKey { gvk: Arc::new(kind.clone()), namespace: object.0.into(), name: object.1.into() };
        Arc::new(Row::new(id, object, RawValue::from_string(String::from_utf8(json).unwrap()).unwrap()))
    }

    fn golden() -> Vec<Arc<Row>> {
        let mut rows = vec![
            row(
                ("shop", "workloads"),
                &Gvk::new("apps", "v1", "Deployment"),
                ("shop", "cart"),
                "0d1f-02",
                &json!({"replicas": 2, "image": "reg.example/cart:1.4.0", "args": ["--q=a<b&c"]}),
            ),
            row(
                ("shop", "config"),
                &Gvk::new("", "v1", "ConfigMap"),
                ("shop", "flags"),
                "0d1f-09",
                &json!({"mode": null, "labels": {"tier": "web", "app": "cart"}}),
            ),
        ];
        rows.sort_by(|a, b| canonical_cmp(a, b));
        rows
    }

    #[test]
    fn the_golden_items_have_the_golden_fingerprint() {
        let rows = golden();
        assert_eq!(
            fingerprint_items(rows.iter().map(AsRef::as_ref)),
            "31abfdabddbae845525e3497ec639c0089ac6aacf9c7ed6d65cf74c790a97005"
        );
        assert_eq!(fingerprint_items([]), EMPTY_ITEMS_FINGERPRINT);
    }

    /// Checksums of the reference that cover several documents: SHA-256 over one line for each.
    fn over_lines(lines: &[String]) -> String {
        hex(&Sha256::digest(lines.iter().flat_map(|line| [line, "\n"]).collect::<String>()))
    }

    #[test]
    fn checksums_over_parts_and_namespaces_follow_from_the_fingerprints() {
        let fingerprint = |rows: &[Arc<Row>]| fingerprint_items(rows.iter().map(AsRef::as_ref));
        assert_eq!(
            over_lines(&[fingerprint(&golden())]),
            "e65858f5326a7c50fea02f44fd94c37c28b3e922264e3ee28a092798e1364711"
        );
        let kind = Gvk::new("", "v1", "ConfigMap");
        let pay = [row(("pay", "cfg"), &kind, ("pay", "m"), "u-m", &json!({}))];
        let shop = [row(("shop", "cfg"), &kind, ("shop", "a"), "u-a", &json!({"k": "x".repeat(60)}))];
        assert_eq!(fingerprint(&pay), "234fd3db9ca2509a65c40550e2ab0d02dfb72fe14413e576d6397d2c99ac9c4f");
        assert_eq!(fingerprint(&shop), "204d04d52cb52264a85d1c098eb86a5363191e91697d555f834c6148b7888a82");
        assert_eq!(
            over_lines(&[format!("pay:{}", fingerprint(&pay)), format!("shop:{}", fingerprint(&shop))]),
            "a6549e000cb14b87f93d4cc4305e92740bee233f7258be13778266dfc5cd8184"
        );
    }

    #[test]
    fn the_golden_envelope_has_its_length_and_head() {
        let rows = golden();
        let checksum = fingerprint_items(rows.iter().map(AsRef::as_ref));
        let envelope = Envelope {
            checksum: &checksum,
            generation: 4,
            exported_at: "2026-03-02T08:15:30.25Z",
            ..Envelope::default()
        };
        let mut out = Vec::new();
        envelope.write(&rows, &mut out).unwrap();
        assert_eq!(out.len(), 636);
        assert!(out.starts_with(b"{\"schemaVersion\":\"kollect.dev/v1alpha1\",\"checksum\":\"31ab"));
    }

    #[test]
    fn canonical_order_puts_a_shorter_name_first() {
        let kind = Gvk::new("", "v1", "ConfigMap");
        let keys = [
            ("pay", "cfg", "m"),
            ("shop", "cfg", "a"),
            ("shop", "cfg", "b"),
            ("shop", "cfg-2", "a"),
            ("shop", "workloads", "cart"),
            ("shop-eu", "cfg", "a"),
        ];
        let rows: Vec<_> = keys.iter().map(|k| row((k.0, k.1), &kind, (k.0, k.2), "u", &json!({}))).collect();
        assert!(rows.windows(2).all(|w| canonical_cmp(&w[0], &w[1]) == Ordering::Less));
    }
}
