//! `kollect init`: a working config from a live cluster, by questions or by flags.
//!
//! Separate per step: `world` looks at the cluster, `ask` asks, `suggest` finds attributes, `plan` holds what was chosen,
//! `write` makes files of it. Nothing is written before everything is chosen.

mod ask;
mod plan;
mod suggest;
mod world;
mod write;

pub use ask::Prompt;
pub use plan::{Filter, Plan, Scope};
pub use world::World;
pub use write::WriteError;

use crate::cluster::{AskError, ConnectError, connect};
use crate::shell::OK;
use crate::terminal::{ColorChoice, Screen, is_watched, print_lines};
use clap::Args;
use kollect_api::Attribute;
use std::collections::BTreeMap;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use world::Live;

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

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Somebody changed their mind.
    #[error("cancelled; nothing was written")]
    Cancelled,
    /// Nobody can answer.
    #[error(
        "kollect init asks questions and needs a terminal; without one, name what to collect: \
         kollect init --kind Deployment --yes (kollect init --help shows more)"
    )]
    NoTerminal,
    /// Files are in the way.
    #[error("{0} exists; --force replaces it, --output-dir writes elsewhere")]
    Exists(String),
    /// What was asked for is not there.
    #[error("{0}")]
    Choice(String),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The files.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Reading or writing.
    #[error("{0}")]
    Io(#[from] io::Error),
}

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
    let world = Live { cluster, catalog, runtime };
    let next = create(args, &mut Terminal(Screen::new(ColorChoice::Never)), &world)?;
    print_lines(ColorChoice::Never, |out| next.lines().try_for_each(|line| out.put(&out.line().text(line))))?;
    Ok(OK)
}

/// Chooses, asks for consent and writes; the answer is what to try next.
pub fn create(args: &InitArgs, prompt: &mut dyn Prompt, world: &dyn World) -> Result<String, InitError> {
    let plan = match &args.kind {
        Some(kind) => by_flags(args, kind, world)?,
        None => ask::plan(prompt, world)?,
    };
    let files = write::files(&plan, &args.output_dir)?;
    let existing: Vec<String> = write::existing(&files).iter().map(|path| path.display().to_string()).collect();
    if !existing.is_empty() && args.yes && !args.force {
        return Err(InitError::Exists(existing.join(", ")));
    }
    if !args.yes {
        for (path, text) in &files {
            prompt.say(&format!("# {}\n{text}", path.display()));
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
    let context = match world.place().0 {
        "" => String::new(),
        context => format!(" --context {context}"),
    };
    Ok(format!(
        "kollect validate --config {dir}\n\
         kollect collect --config {dir}{context} --output - --format table\n\
         kubectl apply{context} -f {dir}\n"
    ))
}

fn by_flags(args: &InitArgs, kind: &str, world: &dyn World) -> Result<Plan, InitError> {
    let kind = world.kind(kind).map_err(InitError::Choice)?;
    let names_namespaces = !args.namespace.is_empty() || args.namespace_selector.is_some();
    let scope = match &args.namespace_selector {
        _ if names_namespaces && !kind.namespaced => {
            return Err(InitError::Choice(format!(
                "{} has no namespaces; leave the namespaces out",
                kind.resource.kind
            )));
        }
        Some(labels) => Scope::Labels(labels.clone()),
        None if args.namespace.is_empty() => Scope::All,
        None => Scope::Names(args.namespace.clone()),
    };
    let mut attributes = match &args.sample {
        Some(name) => {
            let namespace = args.namespace.first().map_or(world.namespace(), String::as_str);
            let Some(object) = world.object(&kind, namespace, name)? else {
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
    Ok(Plan { name, gvk: kind.gvk(), scope, filter: Filter::None, attributes, secret_data: false })
}

/// Questions on standard error, answers from standard input.
struct Terminal(Screen);

impl Prompt for Terminal {
    fn say(&mut self, text: &str) {
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
