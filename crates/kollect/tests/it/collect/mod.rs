//! `kollect collect`, run by people and by pipelines.

mod agreement;
mod clusters;
mod codes;
mod directory;
mod faults;
mod generated;
mod manifests;
mod printing;
mod secrets;
mod sinks;
mod stopping;

use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A folder with a configuration and manifests, in which the command runs.
pub(crate) struct CommandFolder(TempDir);

/// How a run ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails with both streams unless the exit code is this.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stderr: {}\nstdout: {}", self.stderr, self.out);
        self
    }

    #[track_caller]
    pub(crate) fn reports(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is missing in: {}", self.stderr);
        self
    }

    /// The records of NDJSON output.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl CommandFolder {
    pub(crate) fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.path("config")).unwrap();
        folder
    }

    /// With a profile and a target for ConfigMaps.
    pub(crate) fn with_maps() -> Self {
        let folder = Self::new();
        folder.config("maps", &[profile("maps", "", "ConfigMap", &[("v", "$.data.v")]), target("maps", "maps", &[])]);
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Adds objects to the configuration.
    pub(crate) fn config(&self, name: &str, objects: &[Value]) {
        let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
        self.write(&format!("config/{name}.yaml"), &documents.join("\n---\n"));
    }

    /// Adds ConfigMaps to the manifests.
    pub(crate) fn maps(&self, maps: &[(&str, &str, &str)]) {
        let objects: Vec<String> = maps.iter().map(|(ns, name, v)| map(ns, name, v).to_string()).collect();
        self.write("manifests/maps.json", &objects.join("\n"));
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kollect"));
        command.arg("collect").arg("--config").arg(self.path("config")).args(args).current_dir(self.0.path());
        command.env_remove("KUBECONFIG").env("HOME", self.0.path()).env("KOLLECT_GIT_MIRROR_DIR", self.path("mirrors"));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, &[], "")
    }

    pub(crate) fn run_with(&self, args: &[&str], env: &[(&str, &str)], input: &str) -> Ran {
        let mut command = self.command(args);
        command.envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that refuses its flags does not read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

fn kollect(kind: &str, name: &str, spec: &Value) -> Value {
    let meta = json!({"name": name, "namespace": "team"});
    json!({"apiVersion": "kollect.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec})
}

/// A profile of a `v1` kind.
pub(crate) fn profile(name: &str, group: &str, kind: &str, attributes: &[(&str, &str)]) -> Value {
    let attributes: Vec<_> = attributes.iter().map(|(name, path)| json!({"name": name, "path": path})).collect();
    let gvk = json!({"group": group, "version": "v1", "kind": kind});
    kollect("KollectProfile", name, &json!({"targetGVK": gvk, "attributes": attributes}))
}

pub(crate) fn target(name: &str, profile: &str, namespaces: &[&str]) -> Value {
    let mut spec = json!({"profileRef": profile});
    if !namespaces.is_empty() {
        spec["includedNamespaces"] = json!(namespaces);
    }
    kollect("KollectTarget", name, &spec)
}

pub(crate) fn map(namespace: &str, name: &str, v: &str) -> Value {
    let meta = json!({"namespace": namespace, "name": name, "uid": format!("uid-{namespace}-{name}")});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"v": v}})
}

/// `namespace/name=v` of all rows of a record.
pub(crate) fn rows(record: &Value) -> Vec<String> {
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let items = record["envelope"]["items"].as_array().unwrap();
    let row = |item: &Value| {
        let value = item["attributes"]["v"].as_str().unwrap_or_default().to_owned();
        format!("{}/{}={value}", text(item, "namespace"), text(item, "name"))
    };
    items.iter().map(row).collect()
}

/// Every file below a folder with its content.
pub(crate) fn tree(root: &Path) -> std::collections::BTreeMap<String, String> {
    let mut files = std::collections::BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                files.insert(name, fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    files
}
