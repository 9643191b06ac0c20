//! A directory of Kollect objects, as an operator would find them in a cluster.
//!
//! It reads files and the environment, checks them by the rules of the admission webhook, and makes no network request.
//! Values of Secrets leave it only as `SecretData`.

mod check;
mod error;
mod files;
mod objects;
mod read;
mod secrets;

pub use error::{ConfigError, DocumentOrigin, RefusedObject};
pub use objects::{CollectConfig, ConfigTarget};

use std::path::Path;

/// Reads and checks a directory. `env` gives the values of `${env:NAME}`.
pub fn load(dir: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<CollectConfig, ConfigError> {
    let mut config = CollectConfig::default();
    for document in files::documents(dir)? {
        config.add(document, env)?;
    }
    if config.profiles.is_empty() {
        return Err(ConfigError::Missing { dir: dir.display().to_string(), what: "KollectProfile" });
    }
    if config.targets.is_empty() {
        return Err(ConfigError::Missing { dir: dir.display().to_string(), what: "KollectTarget" });
    }
    check::references(&config)?;
    Ok(config)
}

#[cfg(test)]
mod tests;
