//! Whether a command reports to people or to programs.

use clap::ValueEnum;

/// Form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people, on standard error
    #[default]
    Text,
    /// One array of findings, on standard output
    Json,
}
