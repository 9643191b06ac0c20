//! `kollect crds`: the CustomResourceDefinitions as YAML, ready for `kubectl apply`.

use anyhow::Context;
use clap::Args;
use std::io::Write;

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
    let mut out = std::io::stdout().lock();
    let mut found = false;
    for crd in kollect_api::all_crds() {
        if args.name.as_ref().is_some_and(|name| *name != crd.spec.names.plural) {
            continue;
        }
        found = true;
        let text = serde_saphyr::to_string(&crd).context("writing a CRD as YAML")?;
        match write!(out, "---\n{text}") {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            result => result.context("writing to standard output")?,
        }
    }
    anyhow::ensure!(found, "no kind has that plural name; without --name all of them are printed");
    Ok(())
}
