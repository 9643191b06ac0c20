//! `kollect crds`: the CustomResourceDefinitions as YAML, ready for `kubectl apply`.

use anyhow::Context;
use clap::Args;
use kollect_cli::terminal::print;

/// Print the CustomResourceDefinitions
#[derive(Args)]
#[command(
    after_help = "Example:\n  kollect crds | kubectl apply --server-side -f -\n  kollect crds --name kollecttargets"
)]
pub(crate) struct CrdsArgs {
    /// Only the kind with this plural name, for example kollecttargets
    #[arg(long)]
    name: Option<String>,
}

pub(crate) fn run(args: &CrdsArgs) -> anyhow::Result<()> {
    let mut chosen = kollect_api::all_crds();
    if let Some(name) = &args.name {
        let plurals: Vec<String> = chosen.iter().map(|crd| crd.spec.names.plural.clone()).collect();
        chosen.retain(|crd| crd.spec.names.plural == *name);
        anyhow::ensure!(
            !chosen.is_empty(),
            "--name: no kind has the plural name {name}; there are {}",
            plurals.join(", ")
        );
    }
    let texts: Result<Vec<String>, _> = chosen.iter().map(serde_saphyr::to_string).collect();
    let texts = texts.context("writing a CRD as YAML")?;
    print(|out| texts.iter().try_for_each(|text| write!(out, "---\n{text}"))).context("writing to standard output")
}
