//! The questions of `kollect init`. Nothing is written here, so cancelling at any question leaves nothing behind.

use super::cluster_reader::ClusterReader;
use super::error::InitError;
use super::plan::{InitPlan, NamespaceChoice, ObjectChoice, name_from, parse_labels};
use super::suggest::{defaults, suggestions};
use crate::cluster::ServedKind;
use crate::terminal::plain;
use kollect_api::Attribute;
use kollect_model::Glob;

/// Most objects offered as a sample.
const CANDIDATES: u32 = 20;

/// Asks the user; tests script the answers.
pub trait Prompt {
    /// Shows a text.
    fn show(&mut self, text: &str);
    /// Asks; an empty answer is the default. `None`: no more answers will come.
    fn ask(&mut self, question: &str, default: &str) -> Option<String>;
}

fn ask(prompt: &mut dyn Prompt, question: &str, default: &str) -> Result<String, InitError> {
    let answer = prompt.ask(question, default).ok_or(InitError::Cancelled)?;
    let answer = answer.trim();
    Ok(if answer.is_empty() { default.to_owned() } else { answer.to_owned() })
}

/// Asks yes or no.
pub(super) fn confirm(prompt: &mut dyn Prompt, question: &str, default: bool) -> Result<bool, InitError> {
    loop {
        match ask(prompt, &format!("{question} (y/n)"), if default { "y" } else { "n" })?.to_ascii_lowercase().as_str()
        {
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => prompt.show("Answer y or n."),
        }
    }
}

/// Asks until the answer can be used.
fn until<T>(
    prompt: &mut dyn Prompt,
    question: &str,
    default: &str,
    mut read: impl FnMut(&str) -> Result<T, String>,
) -> Result<T, InitError> {
    loop {
        match read(&ask(prompt, question, default)?) {
            Ok(value) => return Ok(value),
            Err(why) => prompt.show(&why),
        }
    }
}

fn choose(prompt: &mut dyn Prompt, question: &str, choices: &[&str]) -> Result<usize, InitError> {
    for (i, choice) in choices.iter().enumerate() {
        prompt.show(&format!("  {}  {choice}", i + 1));
    }
    until(prompt, question, "1", |answer| match answer.parse::<usize>() {
        Ok(number) if (1..=choices.len()).contains(&number) => Ok(number - 1),
        _ => Err(format!("Answer a number from 1 to {}.", choices.len())),
    })
}

fn words(text: &str) -> Vec<String> {
    text.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Asks for everything that a plan needs.
pub(super) fn plan(prompt: &mut dyn Prompt, cluster: &dyn ClusterReader) -> Result<InitPlan, InitError> {
    let (context, server) = cluster.address();
    prompt.show(&format!("Context {}, API server {}", plain(context), plain(server)));
    if !confirm(prompt, "Use this cluster?", true)? {
        return Err(InitError::Cancelled);
    }
    let kind = kind(prompt, cluster)?;
    let scope = if kind.namespaced { scope(prompt, cluster)? } else { NamespaceChoice::All };
    let filter = filter(prompt)?;
    let (attributes, secret_data) = attributes(prompt, cluster, &kind, &scope)?;
    let default = name_from(&kind.resource.plural);
    let name = until(prompt, "Name of the profile and the target", &default, |answer| {
        if name_from(answer) == answer {
            Ok(answer.to_owned())
        } else {
            Err("A name has lower-case letters, digits and dashes.".to_owned())
        }
    })?;
    Ok(InitPlan { name, gvk: kind.gvk(), scope, filter, attributes, secret_data })
}

fn kind(prompt: &mut dyn Prompt, cluster: &dyn ClusterReader) -> Result<ServedKind, InitError> {
    loop {
        let answer = ask(prompt, "Kind to collect, for example Deployment (? lists all)", "Deployment")?;
        if answer == "?" {
            let kinds = cluster.kinds();
            prompt.show(&kinds.join("\n"));
            continue;
        }
        match cluster.kind(&answer) {
            Ok(kind) => return Ok(kind),
            Err(why) => prompt.show(&why),
        }
    }
}

fn scope(prompt: &mut dyn Prompt, cluster: &dyn ClusterReader) -> Result<NamespaceChoice, InitError> {
    let choices = ["all namespaces", "some, by name", "some, by label", "some, by a pattern of names"];
    match choose(prompt, "Which namespaces?", &choices)? {
        0 => Ok(NamespaceChoice::All),
        1 => until(prompt, "Names, with commas", "", |answer| match words(answer) {
            names if names.is_empty() => Err("No name would mean all namespaces; name at least one.".to_owned()),
            names => Ok(NamespaceChoice::Names(names)),
        }),
        2 => until(prompt, "Labels, as key=value with commas", "", |answer| {
            parse_labels(answer).map(NamespaceChoice::Labels)
        }),
        _ => {
            let all = cluster.namespaces()?;
            let names = until(prompt, "Pattern, with * and ?", "", |answer| {
                let pattern = Glob::new(answer);
                let found: Vec<String> = all.iter().filter(|name| pattern.matches(name)).cloned().collect();
                if found.is_empty() { Err("No namespace fits.".to_owned()) } else { Ok(found) }
            })?;
            prompt.show(&format!(
                "Now: {}. Namespaces that come later are not collected; use labels for that.",
                names.join(", ")
            ));
            Ok(NamespaceChoice::Names(names))
        }
    }
}

fn filter(prompt: &mut dyn Prompt) -> Result<ObjectChoice, InitError> {
    match choose(prompt, "Which objects?", &["all", "some, by label", "some, by name"])? {
        0 => Ok(ObjectChoice::None),
        1 => until(prompt, "Labels, as key=value with commas", "", |answer| {
            parse_labels(answer).map(ObjectChoice::Labels)
        }),
        _ => until(prompt, "Names, with commas", "", |answer| match words(answer) {
            names if names.is_empty() => Err("No name would mean all objects; name at least one.".to_owned()),
            names => Ok(ObjectChoice::Names(names)),
        }),
    }
}

fn attributes(
    prompt: &mut dyn Prompt,
    cluster: &dyn ClusterReader,
    kind: &ServedKind,
    scope: &NamespaceChoice,
) -> Result<(Vec<Attribute>, bool), InitError> {
    let plain_ones = defaults(kind.namespaced);
    if !confirm(prompt, "Read one object of the cluster to suggest more attributes?", true)? {
        return Ok((plain_ones, false));
    }
    let namespace = match scope {
        NamespaceChoice::Names(names) => names.first().map(String::as_str),
        _ => None,
    };
    let candidates = cluster.candidates(kind, namespace, CANDIDATES)?;
    if candidates.is_empty() {
        prompt.show("There is no such object yet.");
        return Ok((plain_ones, false));
    }
    let shown: Vec<String> = candidates.iter().map(|(namespace, name)| plain(&identity(namespace, name))).collect();
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    let (namespace, name) = &candidates[choose(prompt, "Which one?", &shown)?];
    let is_secret = kind.gvk().is_core_secret();
    if is_secret && !confirm(prompt, "This is a Secret. Its values are read but never shown. Go on?", false)? {
        return Ok((plain_ones, false));
    }
    let Some(object) = cluster.object(kind, namespace, name)? else {
        prompt.show("It is gone.");
        return Ok((plain_ones, false));
    };
    let secret_data = is_secret && confirm(prompt, "May the inventory hold the data of Secrets in clear text?", false)?;
    let found = suggestions(&object, kind.namespaced, secret_data);
    for (i, attribute) in found.iter().enumerate() {
        prompt.show(&format!("  {:>2}  {}  {}", i + 1, plain(&attribute.name), plain(&attribute.path)));
    }
    let picked = until(prompt, "Which attributes? (numbers with commas, or all)", "all", |answer| {
        if answer == "all" {
            return Ok(found.clone());
        }
        let numbers = words(answer).into_iter().map(|word| match word.parse::<usize>() {
            Ok(number) if (1..=found.len()).contains(&number) => Ok(found[number - 1].clone()),
            _ => Err(format!("{word:?} is no number from 1 to {}.", found.len())),
        });
        match numbers.collect::<Result<Vec<_>, _>>() {
            Ok(none) if none.is_empty() => Err("Pick at least one.".to_owned()),
            other => other,
        }
    })?;
    let reads_data = secret_data
        && picked
            .iter()
            .any(|attribute| attribute.path.starts_with("$.data") || attribute.path.starts_with("$['data']"));
    Ok((picked, reads_data))
}

fn identity(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}
