//! `kollect validate`: applies every rule to every object of some files, and with `--cluster` compares them with a cluster.

mod args;
mod check;
mod cluster;
mod finding;
mod print;
mod references;

pub use args::ValidateArgs;
pub use cluster::ClusterError;
pub use finding::ValidateFinding;

use crate::documents::{InputError, ObjectSet, read_inputs};
use crate::shell::{FOUND, INVALID, OK};
use crate::source_map::Severity;
use crate::terminal::ReportFormat;
use kollect_rules::RuleSettings;

/// Why nothing could be validated.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// A file cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The cluster cannot be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Writing the findings failed.
    #[error("writing the findings: {0}")]
    Output(#[from] std::io::Error),
}

/// Applies the rules to a set of objects, without a cluster.
pub fn validate(set: &ObjectSet, settings: &RuleSettings, partial: bool) -> Vec<ValidateFinding> {
    let mut findings = check::check(set, settings);
    let references = references::check(set);
    findings.extend(references.findings);
    if !partial {
        findings.extend(references.missing.iter().map(|missing| missing.finding(set, "these files")));
    }
    findings.sort_by(ValidateFinding::in_order);
    findings
}

/// Runs the command; the answer is the exit status.
pub fn run(args: &ValidateArgs) -> Result<u8, ValidateError> {
    let set = ObjectSet::new(read_inputs(args.config.as_deref(), &args.files)?);
    let settings = args.settings();
    let mut findings = validate(&set, &settings, args.partial || args.cluster);
    if args.cluster {
        findings.extend(cluster::run(&set, args.kubeconfig.as_deref(), args.context.as_deref())?);
        findings.sort_by(ValidateFinding::in_order);
    }
    match args.format {
        ReportFormat::Text => print::text(&set, &findings, args)?,
        ReportFormat::Json => print::json(&findings)?,
    }
    let worst = findings.iter().map(|finding| finding.severity).min();
    Ok(match worst {
        Some(Severity::Error) => INVALID,
        Some(Severity::Warning) if args.deny_warnings => FOUND,
        _ => OK,
    })
}

#[cfg(test)]
mod tests;
