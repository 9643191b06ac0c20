//! The flags of `kollect eval`.

use crate::terminal::{ColorChoice, ReportFormat};
use clap::{ArgGroup, Args};
use std::path::PathBuf;

/// Arguments of `kollect eval`.
#[derive(Args, Clone, Debug)]
#[command(
    group = ArgGroup::new("what").required(true).args(["profile", "path"]),
    group = ArgGroup::new("on").args(["object", "name"]),
    after_help = "Exit status:\n  0  every path yields a value, or compiles when there is no object\n  \
1  a path fails on the object\n  2  a path does not compile, or an input cannot be used\n\n\
Example:\n  kubectl get deploy web -o yaml | kollect eval --profile profile.yaml --object -\n  \
kollect eval --profile profile.yaml --namespace shop --name web\n  \
kollect eval --path 'cel:object.spec.template.spec.containers.map(c, c.image)' --kind Deployment --name web"
)]
pub struct EvalArgs {
    /// File with a KollectProfile
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Which profile of the file; default: the first
    #[arg(long, value_name = "NAME", requires = "profile")]
    pub profile_name: Option<String>,
    /// A path to try, as in a profile; can be given several times
    #[arg(long)]
    pub path: Vec<String>,
    /// File with the object, YAML or JSON; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub object: Option<PathBuf>,
    /// Fetch the object with this name from the cluster
    #[arg(long)]
    pub name: Option<String>,
    /// Namespace of the object to fetch; default: the context's
    #[arg(long, short, requires = "name")]
    pub namespace: Option<String>,
    /// Kind of the object to fetch, for example Deployment or Ingress.networking.k8s.io; default: the profile's
    #[arg(long, requires = "name")]
    pub kind: Option<String>,
    /// Context of the kubeconfig; default: the current one
    #[arg(long, requires = "name")]
    pub context: Option<String>,
    /// Kubeconfig; default: $KUBECONFIG, then ~/.kube/config
    #[arg(long, value_name = "FILE", requires = "name")]
    pub kubeconfig: Option<PathBuf>,
    /// The operator's --scrub-keys: more key names whose values are redacted
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    pub scrub_keys: Vec<String>,
    /// Form of the outcome
    #[arg(long, short = 'o', visible_alias = "output", value_enum, default_value_t)]
    pub format: ReportFormat,
    /// When to colour
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
}
