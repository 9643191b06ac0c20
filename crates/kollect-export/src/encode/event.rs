//! One export as one message: what event sinks publish with `spec.events: Snapshot`.
//!
//! Kafka and NATS share it, and its bytes are part of the data contract. It must not know a client.

use crate::contract::files::Body;
use kollect_model::{HashWriter, SCHEMA_VERSION, write_string};
use std::io::{self, Write};
use std::sync::Arc;

/// A document as a message.
pub struct EventBody {
    /// When it was made: RFC 3339 UTC.
    pub timestamp: String,
    /// `spec.cluster` of the sink; may be empty.
    pub cluster: Arc<str>,
    /// Namespace of the inventory.
    pub namespace: Arc<str>,
    /// The export envelope, or one part of it.
    pub payload: Arc<dyn Body>,
}

impl EventBody {
    /// The key of a Kafka record: `<cluster>/<namespace>`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.cluster, self.namespace)
    }

    /// `Nats-Msg-Id`: SHA-256 in hex of the key, a slash and the payload, so that a retry has the same.
    pub fn id(&self) -> io::Result<String> {
        let mut hash = HashWriter::default();
        hash.write_all(self.key().as_bytes())?;
        hash.write_all(b"/")?;
        self.payload.write_to(&mut hash)?;
        Ok(hash.finish())
    }
}

impl Body for EventBody {
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut head = b"{".to_vec();
        let fields = [
            ("schemaVersion", SCHEMA_VERSION),
            ("timestamp", &self.timestamp),
            ("cluster", &self.cluster),
            ("namespace", &self.namespace),
        ];
        for (key, value) in fields {
            write_string(key, &mut head);
            head.push(b':');
            write_string(value, &mut head);
            head.push(b',');
        }
        head.extend_from_slice(b"\"payload\":");
        out.write_all(&head)?;
        self.payload.write_to(out)?;
        out.write_all(b"}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The envelope of the data contract's example.
    const ENVELOPE: &str = r#"{"schemaVersion":"kollect.dev/v1alpha1","checksum":"31abfdabddbae845525e3497ec639c0089ac6aacf9c7ed6d65cf74c790a97005","generation":4,"itemCount":2,"exportedAt":"2026-03-02T08:15:30.25Z","items":[{"targetNamespace":"shop","targetName":"config","namespace":"shop","name":"flags","version":"v1","kind":"ConfigMap","uid":"0d1f-09","attributes":{"labels":{"app":"cart","tier":"web"},"mode":null}},{"targetNamespace":"shop","targetName":"workloads","namespace":"shop","name":"cart","group":"apps","version":"v1","kind":"Deployment","uid":"0d1f-02","attributes":{"args":["--q=a\u003cb\u0026c"],"image":"reg.example/cart:1.4.0","replicas":2}}]}"#;

    fn event(cluster: &str) -> EventBody {
        EventBody {
            timestamp: "2026-03-02T08:15:30.25Z".to_owned(),
            cluster: cluster.into(),
            namespace: "shop".into(),
            payload: Arc::new(ENVELOPE.as_bytes().to_vec()),
        }
    }

    #[test]
    fn a_message_has_the_key_the_id_and_the_bytes_of_the_contract() {
        assert_eq!(ENVELOPE.len(), 636);
        let event = event("edge-1");
        assert_eq!(event.key(), "edge-1/shop");
        assert_eq!(event.id().unwrap(), "24117d357106435eeb71e015ea3fefd31803af26b58991c9d456e85a39ad532e");
        let mut bytes = Vec::new();
        event.write_to(&mut bytes).unwrap();
        let wanted = format!(
            "{{\"schemaVersion\":\"kollect.dev/v1alpha1\",\"timestamp\":\"2026-03-02T08:15:30.25Z\",\"cluster\":\"edge-1\",\
             \"namespace\":\"shop\",\"payload\":{ENVELOPE}}}"
        );
        assert_eq!(String::from_utf8(bytes).unwrap(), wanted);
    }

    #[test]
    fn without_a_cluster_the_key_begins_with_a_slash_and_the_field_is_there() {
        let event = event("");
        let mut bytes = Vec::new();
        event.write_to(&mut bytes).unwrap();
        assert_eq!(
            (event.key(), String::from_utf8(bytes).unwrap().contains("\"cluster\":\"\",")),
            ("/shop".to_owned(), true)
        );
    }
}
