//! `kollect collect` from manifests: how long a run takes, and how much memory.
//!
//! It measures a whole process, start and end included, as users and pipelines have it.

use anyhow::{Context as _, ensure};
use kollect_testkit::operator::{binary, usage};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The program has to be quick for small inputs: a table appears at once.
const SMALL_LIMIT: Duration = Duration::from_millis(50);
const SMALL_RUNS: usize = 21;

/// Measures `kollect collect` without a cluster: the examples, and one large list as `kubectl get -o json` writes it
#[derive(clap::Args, Debug)]
pub(crate) struct CollectArgs {
    /// Objects of the large list
    #[arg(long, default_value_t = 100_000)]
    objects: usize,
    /// Longest time for the large list, in seconds
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Most memory for the large list, in MB
    #[arg(long, default_value_t = 200)]
    megabytes: u64,
    /// Write the numbers to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
struct Run {
    time: Duration,
    peak_kb: u64,
}

/// Measures, prints, and fails when a limit is broken.
pub(crate) fn run(args: &CollectArgs) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (config, manifests) = (root.join("examples/collect"), root.join("examples/manifests"));
    let mut small = Vec::with_capacity(SMALL_RUNS);
    for _ in 0..SMALL_RUNS {
        small.push(collect(&config, &manifests, "table")?.time);
    }
    small.sort_unstable();
    let (median, slowest) = (small[SMALL_RUNS / 2], small[SMALL_RUNS - 1]);
    let mut out = std::io::stdout().lock();
    writeln!(out, "collect: a whole process each time, from manifests, without a cluster")?;
    writeln!(
        out,
        "  examples (300 objects, table): median {median:.1?}, slowest {slowest:.1?} of {SMALL_RUNS}; limit {SMALL_LIMIT:?}"
    )?;

    let dir = tempfile::tempdir()?;
    let list = dir.path().join("deployments.json");
    let bytes = write_list(&list, args.objects)?;
    let config = dir.path().join("config");
    std::fs::create_dir(&config)?;
    std::fs::write(config.join("deployments.yaml"), CONFIG)?;
    let mut report = json!({"small": {"median_ms": median.as_secs_f64() * 1e3}, "large": {"bytes": bytes}});
    let mut broken = Vec::new();
    if median > SMALL_LIMIT {
        broken.push(format!("the examples take {median:.1?}"));
    }
    for format in ["table", "csv", "ndjson", "json", "yaml"] {
        let run = collect(&config, &list, format)?;
        let (seconds, megabytes) = (run.time.as_secs_f64(), run.peak_kb / 1000);
        writeln!(
            out,
            "  {} objects, {} MB, {format}: {seconds:.1} s, at most {megabytes} MB of memory; limits {} s, {} MB",
            args.objects,
            bytes / 1_000_000,
            args.seconds,
            args.megabytes
        )?;
        report["large"][format] = json!({"seconds": seconds, "peak_mb": megabytes});
        if seconds > args.seconds || megabytes > args.megabytes {
            broken.push(format!("{format} takes {seconds:.1} s and {megabytes} MB"));
        }
    }
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{report:#}\n")).with_context(|| format!("write {}", path.display()))?;
    }
    ensure!(broken.is_empty(), "over the limit: {}", broken.join("; "));
    Ok(())
}

fn collect(config: &Path, manifests: &Path, format: &str) -> anyhow::Result<Run> {
    let mut command = Command::new(binary()?);
    command.arg("collect").arg("--config").arg(config).arg("--from").arg(manifests).args(["--format", format]);
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("starting kollect")?;
    let mut peak_kb = 0;
    // Long enough not to disturb, short enough not to miss the peak of a run of seconds.
    let ended = loop {
        peak_kb = peak_kb.max(usage(child.id()).map_or(0, |usage| usage.peak_kb));
        match child.try_wait()? {
            Some(ended) => break ended,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let time = started.elapsed();
    let said = std::io::read_to_string(child.stderr.take().context("no stderr")?)?;
    ensure!(ended.success(), "kollect collect failed: {said}");
    Ok(Run { time, peak_kb })
}

const CONFIG: &str = "apiVersion: kollect.dev/v1alpha1
kind: KollectProfile
metadata: {name: deployments, namespace: platform}
spec:
  targetGVK: {group: apps, version: v1, kind: Deployment}
  attributes:
  - {name: images, path: '$.spec.template.spec.containers[*].image'}
  - {name: replicas, path: $.spec.replicas}
  - {name: team, path: $.metadata.labels.team, optional: true}
---
apiVersion: kollect.dev/v1alpha1
kind: KollectTarget
metadata: {name: deployments, namespace: platform}
spec: {profileRef: deployments}
";

/// A list as kubectl writes it: indented, the kind at its end.
fn write_list(path: &Path, objects: usize) -> anyhow::Result<u64> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(b"{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n")?;
    for i in 0..objects {
        let text = format!("{:#}", deployment(i)).replace('\n', "\n        ");
        let end = if i + 1 < objects { "," } else { "" };
        writeln!(file, "        {text}{end}")?;
    }
    file.write_all(
        b"    ],\n    \"kind\": \"List\",\n    \"metadata\": {\n        \"resourceVersion\": \"\"\n    }\n}\n",
    )?;
    file.flush()?;
    Ok(std::fs::metadata(path)?.len())
}

fn deployment(i: usize) -> Value {
    let name = format!("app-{i:06}");
    let labels = json!({"app": name, "team": if i.is_multiple_of(2) { "red" } else { "blue" }});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "annotations": {"deployment.kubernetes.io/revision": "3"}, "creationTimestamp": "2026-01-01T00:00:00Z",
            "generation": 3, "labels": labels, "name": name, "namespace": format!("ns-{}", i % 50),
            "resourceVersion": (1000 + i).to_string(), "uid": format!("00000000-0000-4000-8000-{i:012x}"),
        },
        "spec": {
            "progressDeadlineSeconds": 600, "replicas": i % 7, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels}, "spec": {
                "containers": [{
                    "image": format!("registry.example/{name}:1.2.3"), "imagePullPolicy": "IfNotPresent", "name": "main",
                    "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                    "resources": {"limits": {"cpu": "100m", "memory": "128Mi"}},
                }],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
            }},
        },
        "status": {"availableReplicas": 1, "readyReplicas": 1, "replicas": 1},
    })
}
