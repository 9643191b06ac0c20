//! `tidy`: budgets and the invariants of the architecture that a program can check and clippy cannot.
//!
//! Each check is a function from the repository to findings.

mod budgets;
mod circles;
mod dependencies;
mod documents;
mod finding;
mod language;
mod names;
mod source;
mod sources;

use crate::shell::root;

pub(crate) fn run() -> anyhow::Result<()> {
    let files = source::read(&root())?;
    let documents = source::read_documents(&root())?;
    let metadata = dependencies::metadata()?;
    let mut findings = Vec::new();
    for file in &files {
        findings.extend(sources::size(file));
        findings.extend(sources::header(file));
        findings.extend(sources::purity(file));
        findings.extend(sources::wall_clock(file));
        findings.extend(sources::one_writer(file));
        findings.extend(sources::private_references(file));
        findings.extend(language::comments(file));
        findings.extend(language::test_names(file));
        findings.extend(budgets::functions(file));
    }
    for document in &documents {
        findings.extend(language::document(document));
        findings.extend(documents::paths_exist(&root(), document));
    }
    findings.extend(names::shared_type_names(&files));
    findings.extend(names::reason_literals(&files)?);
    findings.extend(circles::between_files(&files));
    findings.extend(budgets::percentiles(&files));
    findings.extend(dependencies::crate_rules(&metadata));
    findings.extend(dependencies::one_tls_provider(&std::fs::read_to_string(root().join("Cargo.lock"))?));
    findings.extend(dependencies::pinned_toolchain(&root()));
    for warning in files.iter().filter_map(sources::size_warning) {
        eprintln!("tidy: warning: {warning}");
    }
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    anyhow::ensure!(findings.is_empty(), "{} findings of tidy", findings.len());
    Ok(())
}
