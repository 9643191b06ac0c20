//! The flags of `kollect validate`.

use crate::terminal::{ColorChoice, ReportFormat};
use clap::Args;
use kollect_rules::RuleSettings;
use std::path::PathBuf;

/// Arguments of `kollect validate`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Exit status:\n  0  sound; there may be warnings\n  \
1  warnings, with --deny-warnings\n  2  something is invalid, or the command line or a file cannot be used\n\n\
Example:\n  kollect validate --config ./collect-config\n  \
kubectl get kollecttargets -A -o yaml | kollect validate --partial -\n  \
kollect validate --config . --format json --deny-warnings")]
#[expect(clippy::struct_excessive_bools, reason = "one field per flag of the command line")]
pub struct ValidateArgs {
    /// File, or directory whose *.yaml, *.yml and *.json files belong together
    #[arg(long, value_name = "PATH", required_unless_present = "files")]
    pub config: Option<PathBuf>,
    /// Files or directories; - reads standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Form of the findings
    #[arg(long, short = 'o', visible_alias = "output", value_enum, default_value_t)]
    pub format: ReportFormat,
    /// Print findings only, no summary
    #[arg(long, short)]
    pub quiet: bool,
    /// Also name the objects that are not checked, because they are not of Kollect
    #[arg(long, short, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Exit with 1 when there are warnings
    #[arg(long)]
    pub deny_warnings: bool,
    /// Accept references to objects that are not in these files
    #[arg(long)]
    pub partial: bool,
    /// Also check what only a cluster knows: kinds served, CRDs installed, your access, Secrets present
    #[arg(long)]
    pub cluster: bool,
    /// Context of the kubeconfig for --cluster; default: the current one
    #[arg(long, requires = "cluster")]
    pub context: Option<String>,
    /// Kubeconfig for --cluster; default: $KUBECONFIG, then ~/.kube/config
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Judge as an operator with --tenant-mode does
    #[arg(long)]
    pub tenant_mode: bool,
    /// Judge as an operator with --allow-private-sinks does
    #[arg(long)]
    pub allow_private_sinks: bool,
    /// Judge as an operator with --allow-loopback-sinks does
    #[arg(long)]
    pub allow_loopback_sinks: bool,
    /// The operator's --max-export-bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1_572_864)]
    pub max_export_bytes: i64,
    /// When to colour
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
}

impl ValidateArgs {
    pub(super) fn settings(&self) -> RuleSettings {
        RuleSettings {
            max_export_bytes: self.max_export_bytes,
            tenant_mode: self.tenant_mode,
            allow_private_sinks: self.allow_private_sinks,
            allow_loopback_sinks: self.allow_loopback_sinks,
            ..RuleSettings::default()
        }
    }
}
