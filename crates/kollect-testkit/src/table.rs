//! Tables as `kubectl get` shows them, made by the API server itself, so that the demo needs no kubectl.

use serde_json::Value;

const ACCEPT: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// The lines of `kubectl get` for a Kollect kind in a namespace.
pub async fn of(client: &kube::Client, plural: &str, namespace: &str) -> anyhow::Result<Vec<String>> {
    let path = format!("/apis/kollect.dev/v1alpha1/namespaces/{namespace}/{plural}");
    let request = http::Request::get(path).header("accept", ACCEPT).body(Vec::new())?;
    Ok(lines(&client.request(request).await?))
}

/// The columns that `kubectl get` shows without `-o wide`, aligned.
fn lines(table: &Value) -> Vec<String> {
    let columns: Vec<(usize, String)> = table["columnDefinitions"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, column)| column["priority"] == 0)
        .map(|(at, column)| (at, column["name"].as_str().unwrap_or_default().to_uppercase()))
        .collect();
    let text = |cell: &Value| match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut rows = vec![columns.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>()];
    for row in table["rows"].as_array().into_iter().flatten() {
        rows.push(columns.iter().map(|(at, _)| text(&row["cells"][*at])).collect());
    }
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wide_columns_are_left_out_and_cells_aligned() {
        let table = json!({
            "columnDefinitions": [
                {"name": "Name", "priority": 0}, {"name": "Wide", "priority": 1}, {"name": "Rows", "priority": 0},
            ],
            "rows": [{"cells": ["inventory", "x", 300]}, {"cells": ["b", "y", null]}],
        });
        assert_eq!(lines(&table), ["NAME        ROWS", "inventory   300", "b"]);
    }
}
