//! `kollect init`: a working configuration from a live cluster, by questions or by flags.
//!
//! Nothing is written before everything is chosen.

mod args;
mod ask;
mod cluster_reader;
mod error;
mod plan;
mod suggest;
mod write;

pub use args::InitArgs;
pub use ask::Prompt;
pub use cluster_reader::ClusterReader;
pub use error::InitError;
pub use plan::{InitPlan, NamespaceChoice, ObjectChoice};
pub use write::WriteError;

use crate::cluster::connect;
use crate::shell::OK;
use crate::terminal::{ColorChoice, Screen, is_watched, print_lines};
use cluster_reader::LiveCluster;
use std::io::{self, BufRead as _, IsTerminal as _};

/// Runs the command; the answer is the exit status.
pub fn run(args: &InitArgs) -> Result<u8, InitError> {
    let on_terminal = io::stdin().is_terminal() && is_watched();
    let asks = args.kind.is_none() || !args.yes;
    if asks && !on_terminal {
        return Err(InitError::NoTerminal);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (cluster, catalog) = runtime.block_on(async {
        let cluster = connect(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
        let catalog = cluster.catalog().await?;
        Ok::<_, InitError>((cluster, catalog))
    })?;
    let cluster = LiveCluster { cluster, catalog, runtime };
    let next = create(args, &mut Terminal(Screen::new(ColorChoice::Never)), &cluster)?;
    print_lines(ColorChoice::Never, |out| next.lines().try_for_each(|line| out.put(&out.line().text(line))))?;
    Ok(OK)
}

/// Chooses, asks for consent and writes. Returns commands to try next.
pub fn create(args: &InitArgs, prompt: &mut dyn Prompt, cluster: &dyn ClusterReader) -> Result<String, InitError> {
    let plan = match &args.kind {
        Some(kind) => by_flags(args, kind, cluster)?,
        None => ask::plan(prompt, cluster)?,
    };
    let files = write::files(&plan, &args.output_dir)?;
    let existing: Vec<String> = write::existing(&files).iter().map(|path| path.display().to_string()).collect();
    if !existing.is_empty() && args.yes && !args.force {
        return Err(InitError::Exists(existing.join(", ")));
    }
    if !args.yes {
        for (path, text) in &files {
            prompt.show(&format!("# {}\n{text}", path.display()));
        }
        if !ask::confirm(prompt, "Write these files?", true)? {
            return Err(InitError::Cancelled);
        }
    }
    if !existing.is_empty() && !args.force {
        let question = format!("Replace {}?", existing.join(" and "));
        if !ask::confirm(prompt, &question, false)? {
            return Err(InitError::Cancelled);
        }
    }
    write::write(&files, &args.output_dir)?;
    let dir = args.output_dir.display();
    let context = match cluster.address().0 {
        "" => String::new(),
        context => format!(" --context {context}"),
    };
    Ok(format!(
        "kollect validate --config {dir}\n\
         kollect collect --config {dir}{context} --output - --format table\n\
         kubectl apply{context} -f {dir}\n"
    ))
}

fn by_flags(args: &InitArgs, kind: &str, cluster: &dyn ClusterReader) -> Result<InitPlan, InitError> {
    let kind = cluster.kind(kind).map_err(InitError::Choice)?;
    let names_namespaces = !args.namespace.is_empty() || args.namespace_selector.is_some();
    let scope = match &args.namespace_selector {
        _ if names_namespaces && !kind.namespaced => {
            return Err(InitError::Choice(format!(
                "{} has no namespaces; leave the namespaces out",
                kind.resource.kind
            )));
        }
        Some(labels) => NamespaceChoice::Labels(labels.clone()),
        None if args.namespace.is_empty() => NamespaceChoice::All,
        None => NamespaceChoice::Names(args.namespace.clone()),
    };
    let mut attributes = match &args.sample {
        Some(name) => {
            let namespace = args.namespace.first().map_or(cluster.namespace(), String::as_str);
            let Some(object) = cluster.object(&kind, namespace, name)? else {
                let what = if kind.namespaced { format!("{namespace}/{name}") } else { name.clone() };
                return Err(InitError::Choice(format!("no {} {what} is in the cluster", kind.resource.kind)));
            };
            suggest::suggestions(&object, kind.namespaced, false)
        }
        None => suggest::defaults(kind.namespaced),
    };
    for attribute in &args.attribute {
        attributes.retain(|other| other.name != attribute.name);
        attributes.push(attribute.clone());
    }
    let name = args.name.clone().unwrap_or_else(|| plan::name_from(&kind.resource.plural));
    Ok(InitPlan { name, gvk: kind.gvk(), scope, filter: ObjectChoice::None, attributes, secret_data: false })
}

/// Questions on standard error, answers from standard input.
struct Terminal(Screen);

impl Prompt for Terminal {
    fn show(&mut self, text: &str) {
        self.0.lines(text);
    }

    fn ask(&mut self, question: &str, default: &str) -> Option<String> {
        let default = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        self.0.question(format_args!("{question}{default}: "));
        let mut line = String::new();
        match io::stdin().lock().read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line),
        }
    }
}

#[cfg(test)]
mod tests;
