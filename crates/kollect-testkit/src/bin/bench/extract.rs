//! How long one object takes from its JSON to its attributes, and how many allocations.
//!
//! It needs no store and no sink, and compares the compiled profile with one
//! that is compiled for every object.

use crate::counting_alloc::allocations;
use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kollect_api::KollectProfile;
use kollect_extract::{Extractor, RedactedObject, Scratch};
use kollect_model::Gvk;
use serde_json::{Value, json};
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

const OBJECTS: u32 = 128;
const ROUNDS: usize = 7;
const TIME_PER_ROUND: Duration = Duration::from_millis(60);

const SET_1: &[&str] =
    &["$.metadata.name", "$.spec.replicas", "cel:has(object.status.readyReplicas) ? object.status.readyReplicas : 0"];
const SET_2: &[&str] = &[
    "$.metadata.name",
    "$.spec.replicas",
    "cel:has(object.status.readyReplicas) ? object.status.readyReplicas : 0",
    "cel:object.spec.template.spec.containers.map(c, c.image)",
];

const HELM: &[&str] = &[
    "helm:release.releaseName",
    "helm:release.chartName",
    "helm:release.chartVersion",
    "helm:release.appVersion",
    "helm:release.revision",
    "helm:release.status",
];

/// Measures, prints a table, and writes the figures as JSON when a path is given.
pub(crate) fn run(json: Option<&Path>) -> anyhow::Result<()> {
    let raw: Vec<String> = (0..OBJECTS).map(|i| deployment(i).to_string()).collect();
    let mean_size = raw.iter().map(String::len).sum::<usize>() / raw.len();
    let set1 = measure(&profile("Deployment", SET_1, &Value::Null), &raw)?;
    let set2 = measure(&profile("Deployment", SET_2, &Value::Null), &raw)?;
    let copy = measure(&profile("Deployment", &[], &json!({"mode": "Resource", "include": "All"})), &raw)?;
    let releases: Vec<String> = (0..16).map(|i| release(i).to_string()).collect();
    let helm = measure(&profile("Secret", HELM, &Value::Null), &releases)?;
    let sets = [
        ("set1: 2 JSONPath, 1 CEL", &set1),
        ("set2: set1 and a CEL .map()", &set2),
        ("Resource mode, include: All", &copy),
        ("6 fields of a Helm release", &helm),
    ];
    let mut out = std::io::stdout().lock();
    writeln!(out, "extract: {OBJECTS} Deployments of {mean_size} bytes on average; best of {ROUNDS} rounds")?;
    writeln!(
        out,
        "  decoded = compiled profile over a decoded object; raw = masked decoding from JSON text included;"
    )?;
    writeln!(out, "  naive = as decoded, but the profile is compiled for every object")?;
    writeln!(out, "{:<34}{:>12}{:>12}{:>12}", "per object", "decoded", "raw", "naive")?;
    for (name, figures) in sets {
        let [decoded, raw, naive] = figures;
        writeln!(
            out,
            "{name:<28}{:>6}{:>12.0}{:>12.0}{:>12.0}",
            "ns", decoded.nanoseconds, raw.nanoseconds, naive.nanoseconds
        )?;
        writeln!(
            out,
            "{:<28}{:>6}{:>12.1}{:>12.1}{:>12.1}",
            "", "allocs", decoded.allocations, raw.allocations, naive.allocations
        )?;
    }
    if let Some(path) = json {
        let mut report = as_json(&set1);
        report["second_set"] = as_json(&set2);
        report["resource"] = as_json(&copy);
        report["helm"] = as_json(&helm);
        std::fs::write(path, format!("{report:#}\n")).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Figure {
    nanoseconds: f64,
    allocations: f64,
}

fn as_json(figures: &[Figure; 3]) -> Value {
    let [decoded, raw, naive] = figures;
    json!({
        "ns_per_object": {"decoded": decoded.nanoseconds, "raw": raw.nanoseconds, "naive": naive.nanoseconds},
        "allocs_per_object": {"decoded": decoded.allocations, "raw": raw.allocations, "naive": naive.allocations},
    })
}

fn profile(kind: &str, paths: &[&str], export: &Value) -> Value {
    let attributes: Vec<Value> =
        paths.iter().enumerate().map(|(i, path)| json!({"name": format!("a{i}"), "path": path})).collect();
    let group = if kind == "Deployment" { "apps" } else { "" };
    json!({"targetGVK": {"group": group, "version": "v1", "kind": kind}, "attributes": attributes, "export": export})
}

fn compile(profile: &KollectProfile) -> anyhow::Result<Extractor> {
    Extractor::of_profile(profile, &[]).map_err(|errors| anyhow::anyhow!("compile the bench profile: {errors:?}"))
}

fn measure(spec: &Value, raw: &[String]) -> anyhow::Result<[Figure; 3]> {
    let profile = KollectProfile::new("bench", serde_json::from_value(spec.clone())?);
    let extractor = compile(&profile)?;
    let gvk = Gvk::from(&profile.spec.target_gvk);
    let mut objects = Vec::with_capacity(raw.len());
    for text in raw {
        objects.push(RedactedObject::of(&gvk, &serde_json::from_str::<Value>(text)?)?);
    }
    let mut scratch = Scratch::default();
    for (object, text) in objects.iter().zip(raw) {
        let whole = extractor.extract(object, &mut scratch)?;
        let masked = extractor.extract(&extractor.mask().decode(&gvk, text)?, &mut scratch)?;
        ensure!(whole.get() == masked.get(), "the masked object gives other attributes");
    }
    let decoded = best(&objects, |object| extractor.extract(object, &mut scratch).is_ok())?;
    let raw = best(raw, |text| {
        extractor.mask().decode(&gvk, text).is_ok_and(|object| extractor.extract(&object, &mut scratch).is_ok())
    })?;
    let naive = best(&objects, |object| compile(&profile).is_ok_and(|e| e.extract(object, &mut scratch).is_ok()))?;
    Ok([decoded, raw, naive])
}

/// The fastest of some rounds over all inputs.
fn best<T>(inputs: &[T], mut work: impl FnMut(&T) -> bool) -> anyhow::Result<Figure> {
    let mut pass = || inputs.iter().all(|input| black_box(work(black_box(input))));
    ensure!(pass(), "an object of the bench could not be extracted");
    let before = allocations();
    let first = Instant::now();
    pass();
    let passes = (TIME_PER_ROUND.as_nanos() / first.elapsed().as_nanos().max(1)).clamp(1, 10_000);
    let per_object = inputs.len() as f64;
    let allocated = (allocations() - before) as f64 / per_object;
    let mut fastest = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..passes {
            pass();
        }
        fastest = fastest.min(start.elapsed().as_nanos() as f64 / passes as f64 / per_object);
    }
    Ok(Figure { nanoseconds: fastest, allocations: allocated })
}

/// A Secret as Helm writes it: small values, and manifests that make up nearly all of it.
fn release(i: u32) -> Value {
    let parts = (0..60).map(|n| format!("---\n# Source: app/templates/{n}.yaml\n{:#}\n", deployment(i + n)));
    let manifest = parts.collect::<Vec<_>>().concat();
    let templates: Vec<Value> = (0..60)
        .map(|n| json!({"name": format!("templates/{n}.yaml"), "data": STANDARD.encode(deployment(n).to_string())}))
        .collect();
    let release = json!({
        "name": format!("app-{i}"), "namespace": format!("team-{}", i % 9), "version": i + 1, "manifest": manifest,
        "info": {"status": "deployed", "first_deployed": "2026-01-02T03:04:05Z", "last_deployed": "2026-01-02T03:04:05Z"},
        "chart": {"metadata": {"name": "app", "version": format!("1.{i}.0"), "appVersion": "9.8"}, "templates": templates,
            "values": {"replicas": 2}},
        "config": {"replicas": 3},
    });
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // Memory takes everything; a release that was cut off would fail the bench.
    let _ = std::io::Write::write_all(&mut packed, release.to_string().as_bytes());
    let packed = STANDARD.encode(STANDARD.encode(packed.finish().unwrap_or_default()));
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "data": {"release": packed},
        "metadata": {"name": format!("sh.helm.release.v1.app-{i}.v1"), "namespace": "team", "uid": format!("u-{i}")},
    })
}

/// A Deployment as an API server would return it.
fn deployment(i: u32) -> Value {
    let containers: Vec<Value> = (0..=i % 2)
        .map(|c| {
            json!({
                "name": format!("c{c}"), "image": format!("registry.example.com/team-{}/app-{i}:1.{c}.{i}", i % 9),
                "imagePullPolicy": "IfNotPresent", "ports": [{"containerPort": 8080 + c, "name": "http", "protocol": "TCP"}],
                "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "SHARD", "value": i.to_string()}],
                "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
                "terminationMessagePath": "/dev/termination-log",
            })
        })
        .collect();
    let labels = json!({"app.kubernetes.io/name": format!("app-{i}"), "tier": if i.is_multiple_of(3) { "web" } else { "worker" }});
    let mut status = json!({
        "observedGeneration": i, "replicas": i % 5, "updatedReplicas": i % 5,
        "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable",
            "message": "Deployment has minimum availability.", "lastTransitionTime": "2026-01-02T03:04:05Z"}],
    });
    if !i.is_multiple_of(4) {
        status["readyReplicas"] = json!(i % 5);
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": format!("app-{i}"), "namespace": format!("team-{}", i % 9), "uid": format!("00000000-0000-4000-8000-{i:012x}"),
            "resourceVersion": (100_000 + i).to_string(), "generation": i, "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": labels, "annotations": {"deployment.kubernetes.io/revision": i.to_string()},
            "managedFields": [{"manager": "kubectl", "operation": "Apply", "apiVersion": "apps/v1", "time": "2026-01-02T03:04:05Z",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {}}}}}}],
        },
        "spec": {
            "replicas": i % 5, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers, "restartPolicy": "Always",
                "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "securityContext": {}}},
        },
        "status": status,
    })
}
