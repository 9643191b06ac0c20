//! The inventory read API over HTTP, with tokens that the API server reviews.

use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Context as _, ensure};
use kollect_testkit::operator::{self, USER};
use kollect_testkit::servers::{free_port, wait_for};
use serde_json::{Value, json};
use std::path::Path;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const TEAM: &str = "readers";

struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> anyhow::Result<Value> {
        ensure!(self.code == 200, "{}\n{}", self.head, self.body);
        Ok(serde_json::from_str(&self.body)?)
    }
}

struct Caller {
    port: u16,
    authorization: String,
}

impl Caller {
    async fn send(&self, method: &str, path: &str) -> anyhow::Result<BufReader<TcpStream>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let authorization = match self.authorization.as_str() {
            "" => String::new(),
            value => format!("Authorization: {value}\r\n"),
        };
        let request = format!("{method} {path} HTTP/1.1\r\nHost: kollect\r\nConnection: close\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await?;
        Ok(BufReader::new(stream))
    }

    async fn call(&self, method: &str, path: &str) -> anyhow::Result<Answer> {
        let mut text = String::new();
        timeout(SOON, self.send(method, path).await?.read_to_string(&mut text)).await??;
        let (head, body) = text.split_once("\r\n\r\n").context("no head")?;
        let code = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok(Answer { code, head: head.to_lowercase(), body: body.to_owned() })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.call("GET", path).await
    }
}

/// Lets a ServiceAccount do this in the namespace of the team.
async fn allow(cluster: &TestCluster, account: &str, verbs: &[&str], resource: &str) -> anyhow::Result<()> {
    let api = "rbac.authorization.k8s.io";
    let meta = json!({"namespace": TEAM, "name": format!("{account}-{resource}")});
    cluster
        .apply([
            json!({"apiVersion": format!("{api}/v1"), "kind": "Role", "metadata": meta,
                   "rules": [{"apiGroups": ["kollect.dev"], "resources": [resource], "verbs": verbs}]}),
            json!({"apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": meta,
                   "roleRef": {"apiGroup": api, "kind": "Role", "name": meta["name"]},
                   "subjects": [{"kind": "ServiceAccount", "namespace": TEAM, "name": account}]}),
        ])
        .await
}

#[tokio::test]
async fn readers_get_the_rows_that_the_api_server_lets_them_see() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.grant_everywhere().await?;
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/read-api.yaml");
    operator::apply_yaml(&cluster.client, &std::fs::read_to_string(deploy)?).await?;
    cluster.namespace_with("work", &["a", "b", "c"]).await?;
    cluster.pipeline(TEAM, &["work"]).await?;
    let port = free_port()?;
    let operator = cluster
        .operator_with(&[
            "--inventory-http-enabled",
            &format!("--inventory-http-port={port}"),
            "--inventory-auth-cache-ttl=0",
        ])
        .await?;
    cluster.rows_become(TEAM, "all", &["work/a", "work/b", "work/c"]).await?;
    let mut callers = Vec::new();
    for account in ["reader", "stranger"] {
        let token = cluster.api.service_account_token(TEAM, account).await?;
        callers.push(Caller { port, authorization: format!("Bearer {token}") });
    }
    let [reader, stranger] = callers.as_slice() else { unreachable!() };

    requests_without_the_right_are_refused(&cluster, reader, stranger).await?;
    give_pages(reader).await?;
    tell_of_statuses(&cluster, reader).await?;
    tell_of_changes(&cluster, reader).await?;

    // The API server was asked, and the tokens are in no log.
    let entries = cluster.requests(0)?.0;
    let asked =
        |resource: &str| entries.iter().filter(|entry| entry.user == USER && entry.resource == resource).count();
    assert!(asked("tokenreviews") > 5 && asked("subjectaccessreviews") > 5);
    let token = reader.authorization.trim_start_matches("Bearer ");
    assert!(!operator.logs().contains(token), "the log has a token");
    Ok(())
}

/// Also of what does not exist.
async fn requests_without_the_right_are_refused(
    cluster: &TestCluster,
    reader: &Caller,
    stranger: &Caller,
) -> anyhow::Result<()> {
    let of_team = format!("/v1alpha1/inventory?namespace={TEAM}");
    for authorization in ["", "Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "Bearer not.a.token"] {
        let caller = Caller { port: reader.port, authorization: authorization.to_owned() };
        assert_eq!(caller.get(&of_team).await?.code, 401, "{authorization:?}");
    }
    assert_eq!(reader.get(&of_team).await?.code, 403);
    allow(cluster, "reader", &["list", "get"], "kollectinventories").await?;
    wait_for("the right is in force", SOON, async || Ok(reader.get(&of_team).await?.code == 200)).await?;
    assert_eq!(stranger.get(&of_team).await?.code, 403);
    assert_eq!(reader.get("/v1alpha1/inventory").await?.code, 403, "all namespaces");
    assert_eq!(reader.get("/v1alpha1/inventory?namespace=work").await?.code, 403);
    assert_eq!(reader.get(&format!("/v1alpha1/status/targets?namespace={TEAM}")).await?.code, 403);

    assert_eq!(reader.get("/v1alpha1/nothing").await?.code, 404);
    let posted = reader.call("POST", &of_team).await?;
    assert_eq!((posted.code, posted.head.contains("allow: get")), (405, true));
    Ok(())
}

async fn give_pages(reader: &Caller) -> anyhow::Result<()> {
    let of_team = format!("/v1alpha1/inventory?namespace={TEAM}");
    let page = reader.get(&format!("/v1alpha1/inventory/{TEAM}/all?limit=2")).await?.json()?;
    let names: Vec<_> = page["items"].as_array().context("items")?.iter().map(|item| item["name"].clone()).collect();
    assert_eq!((names, &page["itemCount"]), (vec![json!("a"), json!("b")], &json!(2)));
    assert_eq!(page["pagination"], json!({"limit": 2, "offset": 0, "total": 3, "hasMore": true}));
    assert!(page.get("incomplete").is_none(), "{page:#}");
    wait_for("the export is reported", SOON, async || {
        let page = reader.get(&format!("/v1alpha1/inventory/{TEAM}/all")).await?.json()?;
        let export = &page["exportStatus"][0];
        Ok(export["sinkName"] == "pg" && export["status"] == "ok" && export["lastExportTime"].is_string())
    })
    .await?;
    let large = reader.get(&format!("{of_team}&limit=999999")).await?.json()?;
    assert_eq!((&large["pagination"]["limit"], &large["itemCount"]), (&json!(5000), &json!(3)));
    let beyond = reader.get(&format!("{of_team}&offset=7")).await?.json()?;
    assert_eq!((&beyond["items"], &beyond["pagination"]["hasMore"]), (&json!([]), &json!(false)));
    assert_eq!(reader.get(&format!("{of_team}&name=b")).await?.json()?["pagination"]["total"], 1);
    assert_eq!(reader.get(&format!("/v1alpha1/inventory/{TEAM}/none")).await?.code, 404);
    assert!(reader.get(&format!("/inventory?namespace={TEAM}")).await?.head.contains("deprecation: true"));
    Ok(())
}

async fn tell_of_statuses(cluster: &TestCluster, reader: &Caller) -> anyhow::Result<()> {
    allow(cluster, "reader", &["list"], "kollecttargets").await?;
    let path = format!("/v1alpha1/status/targets?namespace={TEAM}");
    wait_for("the count of the target is reported", SOON, async || {
        let answer = reader.get(&path).await?;
        Ok(answer.code == 200 && answer.json()?["items"][0]["itemCount"] == 3)
    })
    .await?;
    let inventories = reader.get(&format!("/v1alpha1/status/inventories?namespace={TEAM}")).await?.json()?;
    assert_eq!(
        (&inventories["items"][0]["name"], inventories["items"][0]["conditions"].is_array()),
        (&json!("all"), true)
    );
    Ok(())
}

/// The rows now, and again after each change.
async fn tell_of_changes(cluster: &TestCluster, reader: &Caller) -> anyhow::Result<()> {
    let mut stream = reader.send("GET", &format!("/v1alpha1/inventory/watch?namespace={TEAM}")).await?.lines();
    let mut next = async || -> anyhow::Result<Value> {
        loop {
            let line = timeout(SOON, stream.next_line()).await??.context("the stream ended")?;
            if let Some(data) = line.strip_prefix("data: ") {
                return Ok(serde_json::from_str(data)?);
            }
        }
    };
    assert_eq!(next().await?["itemCount"], 3);
    cluster.delete("ConfigMap", "work", "b").await?;
    while next().await?["itemCount"] != 2 {}
    Ok(())
}

#[tokio::test]
async fn without_authorization_every_client_reads_and_the_log_warns_of_it() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.namespace_with("work", &["a"]).await?;
    cluster.pipeline(TEAM, &["work"]).await?;
    let port = free_port()?;
    let flags =
        ["--inventory-http-enabled", &format!("--inventory-http-port={port}"), "--inventory-auth-mode=disabled"];
    let operator = cluster.operator_with(&flags).await?;
    ensure!(operator.logs().contains("any client that reaches the read API"), "no warning");
    let anonymous = Caller { port, authorization: String::new() };
    // The operator may not list ConfigMaps: the page names the missing parts.
    cluster.target_shows(TEAM, &["Ready=False/Forbidden"]).await?;
    let mut last = Value::Null;
    wait_for("the page names the missing part", SOON, async || {
        let answer = anonymous.get("/v1alpha1/inventory").await?;
        last = if answer.code == 200 { answer.json()? } else { json!(answer.body) };
        Ok(last["incomplete"][0]["target"] == format!("{TEAM}/maps"))
    })
    .await
    .with_context(|| format!("the last page was {last:#}"))?;
    cluster.grant_everywhere().await?;
    wait_for("the page is whole", SOON, async || {
        let answer = anonymous.get("/v1alpha1/inventory").await?;
        Ok(answer.code == 200 && answer.json()?["itemCount"] == 1 && answer.json()?.get("incomplete").is_none())
    })
    .await
}
