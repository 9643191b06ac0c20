//! The conformance tests of every file sink.

use anyhow::Context as _;
use kollect_export::FileSink;
use kollect_sink_local::LocalSink;
use kollect_testkit::conformance::{FileBackend, files};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

struct Directory {
    top: tempfile::TempDir,
}

impl Directory {
    fn root(&self) -> PathBuf {
        self.top.path().join("out")
    }
}

/// Every file below a directory, by path.
pub(crate) fn read_tree(root: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(inner) = folders.pop() {
        if !inner.is_dir() {
            continue;
        }
        for entry in fs::read_dir(inner)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root)?.to_str().context("a name that is not UTF-8")?;
                files.insert(name.to_owned(), fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

#[async_trait::async_trait]
impl FileBackend for Directory {
    async fn sink(&self) -> anyhow::Result<Arc<dyn FileSink>> {
        Ok(Arc::new(LocalSink::new(self.root())))
    }
    async fn sink_with_wrong_credentials(&self) -> anyhow::Result<Option<Arc<dyn FileSink>>> {
        Ok(None)
    }
    async fn read_back(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        read_tree(&self.root())
    }
    async fn revision(&self) -> anyhow::Result<Option<String>> {
        Ok(None)
    }
    async fn plant(&self, path: &str, content: &str) -> anyhow::Result<()> {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().context("it has a folder")?)?;
        Ok(fs::write(path, content)?)
    }
    async fn wipe(&self) -> anyhow::Result<()> {
        Ok(fs::remove_dir_all(self.root())?)
    }
    async fn stop(&self) -> anyhow::Result<()> {
        // To a process this equals a disk that is not mounted.
        fs::rename(self.root(), self.top.path().join("away"))?;
        Ok(fs::write(self.root(), "")?)
    }
    async fn start(&self) -> anyhow::Result<()> {
        fs::remove_file(self.root())?;
        Ok(fs::rename(self.top.path().join("away"), self.root())?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept() {
    let backend = Directory { top: tempfile::tempdir().unwrap() };
    files(&backend).await.unwrap();
    let left = read_tree(&backend.root()).unwrap();
    let unfinished: Vec<_> = left.keys().filter(|path| path.contains(".tmp-")).collect();
    assert!(unfinished.is_empty(), "{unfinished:?}");
}
