//! The demo: the operator at work against real servers on this machine, shown on the terminal. What it applies is
//! `examples/demo`, as a user would.

use crate::screen::Screen;
use crate::sinks::{REPO, Sinks};
use crate::{objects, story};
use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kollect_testkit::operator::{self, Operator, OperatorOptions};
use kollect_testkit::scene;
use kollect_testkit::servers::{ApiServer, ApiServerOptions, GitHttp, GitHttpOptions, Postgres, PostgresOptions};
use kollect_testkit::table;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

const TEAM: &str = "platform";
const KINDS: [(&str, &str); 4] = [("apps", "deployments"), ("", "services"), ("", "configmaps"), ("batch", "cronjobs")];

/// Shows Kollect at work: a cluster with about 300 objects, kept in Git and in Postgres
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "cargo xtask demo")]
pub(crate) struct DemoArgs {
    /// How long to show changes
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Leave everything running until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Runs the demo.
pub(crate) async fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let screen = Screen::new();
    screen.title("Kollect demo: one cluster, kept equal in Git and in Postgres");
    let (api, git, postgres) = start(&screen).await?;
    let client = api.admin().await?;
    let token = operator::install(&api).await?;
    operator::grant_read(&client, &KINDS).await?;
    let loaded = load(&client, objects::first()).await?;
    screen.line_with_time(&format!("created {loaded} objects in {} namespaces", objects::NAMESPACES.len()));
    apply_examples(&client, &git, postgres.as_ref()).await?;
    screen.line_with_time("applied examples/demo: profiles, targets, sinks and one inventory");

    let begun = Instant::now();
    let mut operator = Operator::start(&api.kubeconfig_for_token(&token), &OperatorOptions::default())?;
    screen.line_with_time("started the operator under its own ServiceAccount");
    let mut sinks = Sinks::new(&git, postgres.as_ref()).await?;
    let shown = show(&screen, &client, &mut operator, &mut sinks, begun, Duration::from_secs(args.seconds)).await;
    if let Err(error) = shown {
        let logs = operator.logs();
        screen.line_with_time(&format!("the operator's log ends with:\n{}", last_lines(&logs, 15)));
        return Err(error);
    }
    for plural in ["kollectinventories", "kollecttargets"] {
        screen.headline(&format!("kubectl get {plural} -n {TEAM}  (statuses follow within 10 s)"));
        for line in table::of(&client, plural, TEAM).await? {
            Screen::line(&format!("           {line}"));
        }
    }
    let equal = sinks.summary(&screen, objects::count(&client, &KINDS).await?).await?;
    let kept = tempfile::Builder::new().prefix("kollect-demo-").tempdir()?.keep();
    sinks.keep_repository(&kept)?;
    screen.line_with_time(&format!("inspect the history:  git -C {} log --stat", kept.join(REPO).display()));
    if args.keep {
        leave_running(&screen, &api, &git, postgres.as_ref(), &kept).await?;
    }
    operator.terminate(Duration::from_secs(15)).await?;
    anyhow::ensure!(equal, "the sinks do not have what the cluster has");
    Ok(())
}

async fn start(screen: &Screen) -> anyhow::Result<(ApiServer, GitHttp, Option<Postgres>)> {
    let (api, git, postgres) = tokio::join!(
        ApiServer::start(ApiServerOptions::default()),
        GitHttp::start(GitHttpOptions::default()),
        Postgres::start(PostgresOptions::default()),
    );
    let (api, git) = (api?, git?);
    git.repos.create(REPO)?;
    screen.line_with_time(&format!("API server at {}, Git at {}", api.url(), git.url(REPO)));
    match postgres {
        Ok(postgres) => {
            screen.line_with_time(&format!("PostgreSQL at localhost:{}", postgres.port()));
            Ok((api, git, Some(postgres)))
        }
        Err(error) => {
            screen.line_with_time(&format!("going on with Git alone: no PostgreSQL here ({error:#})"));
            Ok((api, git, None))
        }
    }
}

async fn load(client: &kube::Client, objects: Vec<Value>) -> anyhow::Result<usize> {
    // Namespaces first; the rest in parallel.
    let (namespaces, others): (Vec<_>, Vec<_>) = objects.into_iter().partition(|object| object["kind"] == "Namespace");
    let count = others.len();
    for namespace in namespaces {
        operator::apply(client, namespace).await?;
    }
    let apply = |object| operator::apply(client, object);
    stream::iter(others.into_iter().map(apply)).buffer_unordered(16).try_for_each(|_| async { Ok(()) }).await?;
    Ok(count)
}

/// Applies the files of `examples/demo` in order, with the addresses of this run filled in.
async fn apply_examples(client: &kube::Client, git: &GitHttp, postgres: Option<&Postgres>) -> anyhow::Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/demo");
    let entries = std::fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    for file in files {
        let mut text = std::fs::read_to_string(&file)?.replace("${GIT_URL}", &git.url(REPO));
        let is_postgres = file.to_string_lossy().contains("postgres");
        match postgres {
            None if is_postgres => continue,
            None => text = text.replace("  databaseSinkRefs: [postgres]\n", ""),
            Some(postgres) if is_postgres => {
                let url = postgres.url(Postgres::DATABASE);
                let data = [("dsn", url.as_str()), ("ca.crt", postgres.ca_pem())];
                operator::apply(client, scene::secret(TEAM, "postgres", &data)).await?;
            }
            Some(_) => {}
        }
        operator::apply_yaml(client, &text).await.with_context(|| format!("applying {}", file.display()))?;
    }
    Ok(())
}

/// Waits for the first export, then changes the cluster step by step and shows what arrives.
async fn show(
    screen: &Screen,
    client: &kube::Client,
    operator: &mut Operator,
    sinks: &mut Sinks,
    begun: Instant,
    time: Duration,
) -> anyhow::Result<()> {
    let wanted = objects::count(client, &KINDS).await?;
    while !sinks.complete(wanted) {
        anyhow::ensure!(operator.exited()?.is_none(), "the operator ended by itself");
        anyhow::ensure!(begun.elapsed() < Duration::from_mins(2), "the first export is not complete");
        sinks.show_arrivals(screen).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let taken = begun.elapsed().as_secs_f64();
    screen.line_with_time(&format!("everything is in place, {taken:.1} s after the operator started"));
    sinks.show_sample(screen).await?;
    let (from, steps) = (Instant::now(), story::steps());
    let pause = time.saturating_sub(begun.elapsed()) / u32::try_from(steps.len() + 1)?;
    for (step, next) in steps.into_iter().zip(1..) {
        screen.headline(step.what);
        story::take(client, step).await?;
        while from.elapsed() < pause * next {
            sinks.show_arrivals(screen).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let wanted = objects::count(client, &KINDS).await?;
    let settle = Instant::now();
    while !sinks.complete(wanted) && settle.elapsed() < Duration::from_secs(15) {
        sinks.show_arrivals(screen).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::ensure!(operator.exited()?.is_none(), "the operator ended by itself");
    Ok(())
}

async fn leave_running(
    screen: &Screen,
    api: &ApiServer,
    git: &GitHttp,
    postgres: Option<&Postgres>,
    dir: &Path,
) -> anyhow::Result<()> {
    let kubeconfig = dir.join("admin.kubeconfig");
    std::fs::write(&kubeconfig, api.admin_kubeconfig())?;
    screen.headline("still running; end with Ctrl-C");
    screen.line_with_time(&format!("cluster:   kubectl --kubeconfig {} get kollect -A", kubeconfig.display()));
    screen.line_with_time(&format!("Git:       git clone {}", git.url(REPO)));
    if let Some(postgres) = postgres {
        let url = postgres.url(Postgres::DATABASE).replace("verify-full", "require");
        screen.line_with_time(&format!("Postgres:  psql '{url}' -c 'SELECT * FROM inventory_items LIMIT 5'"));
    }
    Ok(tokio::signal::ctrl_c().await?)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
