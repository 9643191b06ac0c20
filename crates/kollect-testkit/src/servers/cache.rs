//! Where `cargo xtask env` put the servers.
//!
//! Variables first, then the cache of the user, for every server.

use anyhow::Context as _;
use std::path::PathBuf;

/// `KOLLECT_TESTENV`, else `kollect-testenv` in the user's cache home.
pub fn cache_dir() -> anyhow::Result<PathBuf> {
    if let Some(dir) = std::env::var_os("KOLLECT_TESTENV") {
        return Ok(dir.into());
    }
    if let Some(dir) = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()) {
        return Ok(PathBuf::from(dir).join("kollect-testenv"));
    }
    let home = std::env::var_os("HOME").context("neither KOLLECT_TESTENV, XDG_CACHE_HOME nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cache/kollect-testenv"))
}

/// Directory with `kube-apiserver` and `etcd`: `KUBEBUILDER_ASSETS`, else the newest build in the cache.
pub fn kube_assets() -> anyhow::Result<PathBuf> {
    if let Some(dir) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()) {
        return Ok(dir.into());
    }
    let cache = cache_dir()?;
    let mut builds: Vec<PathBuf> = std::fs::read_dir(&cache)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    builds.retain(|dir| {
        dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kube-"))
            && dir.join("kube-apiserver").is_file()
            && dir.join("etcd").is_file()
    });
    builds.sort();
    builds.pop().with_context(|| format!("no kube-apiserver and etcd in {}: run `cargo xtask env`", cache.display()))
}
