//! How long one object takes from its JSON to its attributes, and how many allocations.
//!
//! Separate because it is the only bench that needs no store and no sink. It compares the compiled profile with one
//! that is compiled for every object.

use crate::counting_alloc::allocations;
use anyhow::{Context as _, ensure};
use kollect_extract::{AttributeSource, Extractor, ProfileSource, Scratch};
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

/// Measures, prints a table, and writes the figures as JSON when a path is given.
pub fn run(json: Option<&Path>) -> anyhow::Result<()> {
    let raw: Vec<String> = (0..OBJECTS).map(|i| deployment(i).to_string()).collect();
    let mean_size = raw.iter().map(String::len).sum::<usize>() / raw.len();
    let set1 = measure(SET_1, &raw)?;
    let set2 = measure(SET_2, &raw)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "extract: {OBJECTS} Deployments of {mean_size} bytes on average; best of {ROUNDS} rounds")?;
    writeln!(
        out,
        "  decoded = compiled profile over a decoded object; raw = masked decoding from JSON text included;"
    )?;
    writeln!(out, "  naive = as decoded, but the profile is compiled for every object")?;
    writeln!(out, "{:<34}{:>12}{:>12}{:>12}", "per object", "decoded", "raw", "naive")?;
    for (name, figures) in [("set1: 2 JSONPath, 1 CEL", &set1), ("set2: set1 and a CEL .map()", &set2)] {
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

fn compile(paths: &[&str]) -> anyhow::Result<Extractor> {
    let attributes: Vec<AttributeSource> = paths
        .iter()
        .enumerate()
        .map(|(i, path)| AttributeSource { name: format!("a{i}"), path: (*path).to_owned(), optional: false })
        .collect();
    let source = ProfileSource {
        gvk: &Gvk::new("apps", "v1", "Deployment"),
        attributes: &attributes,
        scrub_keys: &[],
        allow_secret_extraction: false,
        resource_mode: false,
    };
    Extractor::compile(&source).map_err(|errors| anyhow::anyhow!("compile the bench profile: {errors:?}"))
}

fn measure(paths: &[&str], raw: &[String]) -> anyhow::Result<[Figure; 3]> {
    let extractor = compile(paths)?;
    let mut objects = Vec::with_capacity(raw.len());
    for text in raw {
        objects.push(serde_json::from_str::<Value>(text)?);
    }
    let mut scratch = Scratch::default();
    for (object, text) in objects.iter().zip(raw) {
        let whole = extractor.extract(object, &mut scratch)?;
        let masked = extractor.extract(&extractor.mask().decode(text)?, &mut scratch)?;
        ensure!(whole.get() == masked.get(), "the masked object gives other attributes");
    }
    let decoded = best(&objects, |object| extractor.extract(object, &mut scratch).is_ok())?;
    let raw = best(raw, |text| {
        extractor.mask().decode(text).is_ok_and(|object| extractor.extract(&object, &mut scratch).is_ok())
    })?;
    let naive = best(&objects, |object| compile(paths).is_ok_and(|e| e.extract(object, &mut scratch).is_ok()))?;
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
