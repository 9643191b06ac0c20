//! Rows as the backends have them.
//!
//! Separate per backend format only; nothing is interpreted beyond its key.

use super::RowKey;
use anyhow::{Context as _, ensure};
use serde_json::Value;

/// Every row of a cluster in a Postgres table, whatever the inventory.
pub async fn postgres_rows(
    client: &tokio_postgres::Client,
    table: &str,
    cluster: &str,
) -> anyhow::Result<Vec<(RowKey, Value)>> {
    let sql = format!(
        "SELECT inventory_namespace, inventory_name, target_namespace, target_name, source_uid, payload \
         FROM {table} WHERE cluster = $1"
    );
    let mut rows = Vec::new();
    for row in client.query(&sql, &[&cluster]).await? {
        let text = |at: usize| row.get::<_, String>(at);
        let key = RowKey {
            inventory: format!("{}/{}", text(0), text(1)),
            target: format!("{}/{}", text(2), text(3)),
            uid: text(4),
        };
        rows.push((key, row.get::<_, Value>(5)));
    }
    Ok(rows)
}

/// Rows of a document (JSON or YAML envelope), after checking that it is whole.
#[expect(clippy::disallowed_methods, reason = "the oracle shares no reader with the product")]
pub fn document_rows(inventory: &str, content: &[u8]) -> anyhow::Result<Vec<(RowKey, Value)>> {
    let text = std::str::from_utf8(content)?;
    // Every JSON document is YAML too, but the JSON reader is exact about numbers.
    let document: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => serde_saphyr::from_str(text).context("the document is neither JSON nor YAML")?,
    };
    let items = document["items"].as_array().context("the document has no items")?;
    let count = document["itemCount"].as_u64().context("the document has no itemCount")?;
    ensure!(count == items.len() as u64, "itemCount {count}, but {} items", items.len());
    items.iter().map(|item| Ok((item_key(inventory, item)?, item.clone()))).collect()
}

fn item_key(inventory: &str, item: &Value) -> anyhow::Result<RowKey> {
    let text = |key: &str| item[key].as_str().with_context(|| format!("an item without {key}"));
    Ok(RowKey {
        inventory: inventory.to_owned(),
        target: format!("{}/{}", text("targetNamespace")?, text("targetName")?),
        uid: text("uid")?.to_owned(),
    })
}
