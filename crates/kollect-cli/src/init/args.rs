//! The flags of `kollect init`.

use super::plan;
use clap::Args;
use kollect_api::Attribute;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Arguments of `kollect init`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Without --kind it asks. Files that exist are replaced only when you agree, or with --force.\n\n\
Exit status:\n  0  the config is written\n  2  it is not, and nothing was changed\n\n\
Example:\n  kollect init\n  kollect init --kind Deployment --namespace shop --sample web --yes\n  \
kollect init --kind Ingress.networking.k8s.io --attribute hosts='$.spec.rules[*].host' --output-dir ingresses"
)]
pub struct InitArgs {
    /// Kind to collect, for example Deployment or Ingress.networking.k8s.io
    #[arg(long)]
    pub kind: Option<String>,
    /// Namespaces to collect from, with commas; default: all
    #[arg(long, short, value_delimiter = ',', requires = "kind", conflicts_with = "namespace_selector")]
    pub namespace: Vec<String>,
    /// Labels of the namespaces to collect from, key=value with commas
    #[arg(long, value_name = "LABELS", value_parser = plan::parse_labels, requires = "kind")]
    pub namespace_selector: Option<BTreeMap<String, String>>,
    /// Name of an object to suggest attributes from
    #[arg(long, value_name = "NAME", requires = "kind")]
    pub sample: Option<String>,
    /// An attribute to keep; can be given several times
    #[arg(long, value_name = "NAME=PATH", value_parser = plan::parse_attribute, requires = "kind")]
    pub attribute: Vec<Attribute>,
    /// Name of the profile and the target; default: the plural of the kind
    #[arg(long, requires = "kind")]
    pub name: Option<String>,
    /// Directory for profile.yaml and target.yaml
    #[arg(long, short = 'o', visible_alias = "output", value_name = "DIR", default_value = "./collect-config")]
    pub output_dir: PathBuf,
    /// Replace files that exist
    #[arg(long)]
    pub force: bool,
    /// Do not ask whether to write
    #[arg(long, short, requires = "kind")]
    pub yes: bool,
    /// Context of the kubeconfig; default: the current one
    #[arg(long)]
    pub context: Option<String>,
    /// Kubeconfig; default: $KUBECONFIG, then ~/.kube/config
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}
