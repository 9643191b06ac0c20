//! Writes the files of a plan: as a whole, readable by their owner only, checked by the rules before and loaded after.
//!
//! Existing files are replaced only after consent or with `--force`.

use super::plan::InitPlan;
use crate::documents::{ObjectSet, read_inputs};
use crate::source_map::SourceText;
use crate::validate::validate;
use kollect_rules::RuleSettings;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Why no config was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file.
    #[error("writing {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The config could not be put into words.
    #[error("writing {what} as YAML: {why}")]
    Yaml {
        /// Which object.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// What was chosen breaks rules.
    #[error("what was chosen is not valid, and nothing was written:\n{0}")]
    Invalid(String),
    /// What was written does not load.
    #[error("the files in {} do not load: {why}", dir.display())]
    Reload {
        /// Where.
        dir: PathBuf,
        /// Why not.
        why: String,
    },
}

/// The two files of a plan and what they hold.
pub(super) fn files(plan: &InitPlan, dir: &Path) -> Result<[(PathBuf, String); 2], WriteError> {
    let yaml = |what, text: Result<String, serde_saphyr::ser::Error>| {
        text.map_err(|error| WriteError::Yaml { what, why: error.to_string() })
    };
    let files = [
        (dir.join("profile.yaml"), yaml("the profile", serde_saphyr::to_string(&plan.profile()))?),
        (dir.join("target.yaml"), yaml("the target", serde_saphyr::to_string(&plan.target()))?),
    ];
    let sources = files.iter().map(|(path, text)| SourceText::parse(path.display().to_string(), text.as_str()));
    refuse_invalid(&ObjectSet::new(sources.collect())).map_err(WriteError::Invalid)?;
    Ok(files)
}

fn refuse_invalid(set: &ObjectSet) -> Result<(), String> {
    let findings = validate(set, &RuleSettings::default(), false);
    let errors = findings.iter().filter(|finding| finding.severity == crate::source_map::Severity::Error);
    let lines: Vec<String> = errors.map(|finding| format!("  {}: {}", finding.field, finding.message)).collect();
    if lines.is_empty() { Ok(()) } else { Err(lines.join("\n")) }
}

/// Files of the plan that are there already.
pub(super) fn existing(files: &[(PathBuf, String)]) -> Vec<&Path> {
    files.iter().map(|(path, _)| path.as_path()).filter(|path| path.symlink_metadata().is_ok()).collect()
}

/// Writes the files, each by a rename, and reads them again.
pub(super) fn write(files: &[(PathBuf, String)], dir: &Path) -> Result<(), WriteError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteError::File { path, source }
    };
    fs::create_dir_all(dir).map_err(fail(dir))?;
    for (path, text) in files {
        let new = path.with_extension("yaml.new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .map_err(fail(&new))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail(&new))?;
        fs::rename(&new, path).map_err(fail(path))?;
    }
    let paths: Vec<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
    let reload = |why: String| WriteError::Reload { dir: dir.to_owned(), why };
    let sources = read_inputs(None, &paths).map_err(|error| reload(error.to_string()))?;
    refuse_invalid(&ObjectSet::new(sources)).map_err(reload)
}
