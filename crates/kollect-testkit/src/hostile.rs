//! What a hostile tenant would apply: expressions and rows without end, Secrets of others, a Git server with a bomb.

use crate::scene;
use crate::servers::repos::git;
use crate::servers::{BareRepos, GitHttp, GitHttpOptions};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The tenant's namespace.
pub const NAMESPACE: &str = "mallory";
/// The largest object that the API server takes, about.
const BIG: usize = 900_000;
/// Bytes of the bomb when it is unpacked.
const BOMB: u64 = 1_500_000_000;
const REPOSITORY: &str = "bomb.git";

/// A Git server whose repository is small on the wire and huge when it is unpacked.
pub struct GitBomb {
    server: GitHttp,
}

impl GitBomb {
    /// Packs the bomb and starts the server.
    pub async fn start() -> anyhow::Result<Self> {
        let repos = BareRepos::new()?;
        let path = repos.create(REPOSITORY)?;
        let blob = tokio::task::spawn_blocking({
            let path = path.clone();
            move || zeros(&path)
        })
        .await??;
        let tree = pipe(&path, &["mktree"], format!("100644 blob {blob}\tbomb\n").as_bytes())?;
        let identity = ["-c", "user.name=Mallory", "-c", "user.email=mallory@example.org"];
        let commit = git(&path, identity.into_iter().chain(["commit-tree", "-m", "bomb", &tree]))?;
        git(&path, ["update-ref", "refs/heads/main", commit.trim()])?;
        let server = GitHttp::start(GitHttpOptions { repos: Some(repos), ..GitHttpOptions::default() }).await?;
        Ok(Self { server })
    }
}

fn zeros(repository: &std::path::Path) -> anyhow::Result<String> {
    let mut child = Command::new("git")
        .args(["hash-object", "-w", "--stdin"])
        .current_dir(repository)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let block = vec![0_u8; 1 << 20];
        let mut left = BOMB;
        while left > 0 {
            let some = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            stdin.write_all(&block[..some])?;
            left -= some as u64;
        }
    }
    let output = child.wait_with_output()?;
    anyhow::ensure!(output.status.success(), "git hash-object failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn pipe(repository: &std::path::Path, args: &[&str], input: &[u8]) -> anyhow::Result<String> {
    let mut child =
        Command::new("git").args(args).current_dir(repository).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    Ok(String::from_utf8(child.wait_with_output()?.stdout)?.trim().to_owned())
}

type Attributes<'a> = &'a [(&'a str, &'a str)];

/// Everything that the tenant applies; its targets end up degraded.
pub fn objects(bomb: &GitBomb) -> Vec<Value> {
    let mut all = vec![scene::namespace(NAMESPACE)];
    for n in 0..4 {
        all.push(big(&format!("letters-{n}"), &"A".repeat(BIG)));
        all.push(big(&format!("bits-{n}"), &"01".repeat(BIG / 2)));
    }
    let many: Vec<(String, &str)> = (0..512).map(|n| (format!("copy{n}"), "$.data")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, path)| (name.as_str(), *path)).collect();
    let twice = format!("$.data[{}]", vec!["'x'"; 1_000].join(","));
    let attacks: [(&str, &str, Attributes<'_>); 5] = [
        ("rescans", "ConfigMap", &[("n", r#"cel:object.data.x.findAll(".*[^A-Z]|[A-Z]").size()"#)]),
        ("states", "ConfigMap", &[("n", r#"cel:object.data.x.matches("[01]*1[01]{900}[^01]")"#)]),
        ("copies", "ConfigMap", &many),
        ("twice", "ConfigMap", &[("x", &twice)]),
        ("secrets", "Secret", &[("d", r#"cel:object.data.map(k, k + "=" + object.data[k])"#)]),
    ];
    for (name, kind, attributes) in attacks {
        let mut profile = scene::profile(NAMESPACE, name, "v1", kind, attributes);
        profile["metadata"]["annotations"] = json!({"kollect.dev/allow-secret-extraction": "true"});
        all.push(profile);
        let others: &[&str] = if kind == "Secret" { &["kollect-system", "bench-000"] } else { &[NAMESPACE] };
        all.push(scene::target(NAMESPACE, name, name, others));
    }
    all.push(scene::git_sink(NAMESPACE, "bomb", &bomb.server.url(REPOSITORY), "hostile", None));
    all.push(scene::inventory(NAMESPACE, "bomb", Some("bomb"), None, "0s"));
    all
}

fn big(name: &str, text: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": NAMESPACE, "name": name}, "data": {"x": text},
    })
}
