//! The schemas as `kubectl explain` reads them: every field has a description.

use kollect_testkit::servers::wait_for;
use serde_json::Value;
use std::time::Duration;

/// The published fields without a description, e.g. `KollectTarget.spec.names`.
pub(crate) async fn undescribed(client: &kube::Client) -> anyhow::Result<Vec<String>> {
    let kinds: Vec<String> = kollect_api::all_crds().into_iter().map(|crd| crd.spec.names.kind).collect();
    let mut document = Value::Null;
    // Published some time after the kinds are served.
    wait_for("the schemas of all kinds", Duration::from_mins(1), async || {
        let request = kube::core::Request::new("/openapi/v3/apis/kollect.dev/v1alpha1");
        let request = request.list(&kube::api::ListParams::default())?;
        document = client.request::<Value>(request).await.unwrap_or_default();
        Ok(kinds.iter().all(|kind| schema(&document, kind).is_some()))
    })
    .await?;
    let mut silent = Vec::new();
    let mut seen = 0;
    for kind in &kinds {
        visit(kind, schema(&document, kind).unwrap_or(&Value::Null), &mut |at, field| {
            seen += 1;
            if field["description"].as_str().is_none_or(|text| text.trim().is_empty()) {
                silent.push(at.to_owned());
            }
        });
    }
    anyhow::ensure!(seen > 500, "only {seen} fields are published");
    Ok(silent)
}

fn schema<'a>(document: &'a Value, kind: &str) -> Option<&'a Value> {
    document.pointer(&format!("/components/schemas/dev.kollect.v1alpha1.{kind}"))
}

fn visit(at: &str, node: &Value, each: &mut dyn FnMut(&str, &Value)) {
    for (name, field) in node["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        each(&at, field);
        visit(&at, field, each);
    }
    for inner in ["items", "additionalProperties"] {
        if node[inner].is_object() {
            visit(at, &node[inner], each);
        }
    }
}
