//! Objects from API servers: missing rights, kinds that are not served, clusters that are down.

use super::{CommandFolder, profile, rows, target, tree};
use kollect_testkit::operator::apply;
use kollect_testkit::scene;
use kollect_testkit::servers::{ADMIN_TOKEN, ApiServer, ApiServerOptions, free_port};
use serde_json::json;

/// A kubeconfig with contexts `(name, address, token)` for servers with one authority.
fn kubeconfig(folder: &CommandFolder, server: &ApiServer, contexts: &[(&str, String, &str)]) -> String {
    let ca = folder.write("ca.pem", server.ca_pem());
    let all = |each: &dyn Fn(&(&str, String, &str)) -> serde_json::Value| contexts.iter().map(each).collect::<Vec<_>>();
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": contexts[0].0,
        "clusters": all(&|(name, url, _)| json!({"name": name, "cluster": {"server": url, "certificate-authority": ca}})),
        "users": all(&|(name, _, token)| json!({"name": name, "user": {"token": token}})),
        "contexts": all(&|(name, _, _)| json!({"name": name, "context": {"cluster": name, "user": name}})),
    })
    .to_string()
}

async fn started() -> (ApiServer, kube::Client) {
    let server = ApiServer::start(ApiServerOptions::default()).await.unwrap();
    let client = server.admin().await.unwrap();
    for namespace in ["work", "other"] {
        apply(&client, scene::namespace(namespace)).await.unwrap();
    }
    put(&client, "work", "one", "1").await;
    put(&client, "other", "two", "2").await;
    (server, client)
}

async fn put(client: &kube::Client, namespace: &str, name: &str, v: &str) {
    let mut map = super::map(namespace, name, v);
    map["metadata"].as_object_mut().unwrap().remove("uid");
    apply(client, map).await.unwrap();
}

async fn may_list_maps(client: &kube::Client, namespace: &str) {
    let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]});
    let subject = json!({"kind": "ServiceAccount", "name": "reader", "namespace": "default"});
    let (metadata, rbac) = (json!({"name": "reader", "namespace": namespace}), "rbac.authorization.k8s.io");
    for object in [
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": metadata, "rules": [rule]}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": metadata, "subjects": [subject],
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "reader"}}),
    ] {
        apply(client, object).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forbidden_or_not_served_is_skipped_and_its_last_good_file_stays() {
    let (server, client) = started().await;
    apply(&client, scene::secret("work", "login", &[("key", "value")])).await.unwrap();
    let token = server.service_account_token("default", "reader").await.unwrap();
    may_list_maps(&client, "work").await;
    let folder = CommandFolder::new();
    folder.config(
        "c",
        &[
            profile("maps", "", "ConfigMap", &[("v", "$.data.v")]),
            profile("secrets", "", "Secret", &[("type", "$.type")]),
            profile("nothing", "example.org", "Nothing", &[("v", "$.v")]),
            target("maps", "maps", &["work"]),
            target("partly", "maps", &["other", "work"]),
            target("secrets", "secrets", &["work"]),
            target("nothing", "nothing", &["work"]),
        ],
    );
    let contexts = [("admin", server.url(), ADMIN_TOKEN), ("reader", server.url(), token.as_str())];
    folder.write("kubeconfig", &kubeconfig(&folder, &server, &contexts));
    let to_files = |context: &str| {
        folder.run(&["--kubeconfig", "kubeconfig", "--context", context, "--output", "out", "--cluster", "east"])
    };
    to_files("admin").ends(1).reports("team/nothing: gvk-not-found");
    let file = |name: &str| folder.read(&format!("out/inventory/team/{name}.yaml"));
    let before = file("secrets");
    assert!(before.contains("name: login") && file("partly").contains("name: two"));
    assert!(!folder.path("out/inventory/team/nothing.yaml").exists());

    put(&client, "work", "one", "changed").await;
    let ran = to_files("reader").ends(1).reports("team/secrets in namespace work: forbidden");
    ran.reports("team/partly in namespace other: forbidden").reports("team/nothing: gvk-not-found");
    assert_eq!(file("secrets"), before, "nothing was known of it");
    assert!(file("maps").contains("v: changed"));
    let partly = file("partly");
    assert!(partly.contains("name: two") && partly.contains("v: changed"), "what is not seen stays: {partly}");

    let ran = folder.run(&["--kubeconfig", "kubeconfig", "--context", "reader", "--output", "-"]).ends(1);
    let records = ran.records();
    assert_eq!(records.iter().map(|r| r["targetName"].as_str().unwrap()).collect::<Vec<_>>(), ["maps", "partly"]);
    assert_eq!(records[0]["context"], "reader");
    assert_eq!(records[0]["envelope"]["cluster"], "reader");
    // The server puts a map of its own into every namespace.
    assert!(rows(&records[0]).contains(&"work/one=changed".to_owned()));

    folder.config(
        "c",
        &[profile("secrets", "", "Secret", &[("type", "$.type")]), target("secrets", "secrets", &["work"])],
    );
    let ran = folder.run(&["--kubeconfig", "kubeconfig", "--context", "reader", "--output", "-"]).ends(2);
    assert_eq!(ran.out, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_that_is_down_spoils_no_other_and_keeps_its_files() {
    let (server, client) = started().await;
    let folder = CommandFolder::with_maps();
    let up = || ("up", server.url(), ADMIN_TOKEN);
    folder.write("kubeconfig", &kubeconfig(&folder, &server, &[up(), ("west", server.url(), ADMIN_TOKEN)]));
    let args = ["--kubeconfig", "kubeconfig", "--context", "w*,up", "--context", "none*", "--output", "out"];
    folder.run(&args).ends(0).reports("no context matches none*");
    let before = tree(&folder.path("out/west"));
    assert_eq!(before.keys().collect::<Vec<_>>(), ["inventory/team/maps.yaml"]);

    let dead = format!("https://127.0.0.1:{}", free_port().unwrap());
    folder.write("kubeconfig", &kubeconfig(&folder, &server, &[up(), ("west", dead, ADMIN_TOKEN)]));
    put(&client, "work", "one", "changed").await;
    folder.run(&args).ends(1).reports(": listing namespaces: it cannot be reached: ");
    assert_eq!(tree(&folder.path("out/west")), before);
    assert!(folder.read("out/up/inventory/team/maps.yaml").contains("v: changed"));

    let ran = folder.run(&["--kubeconfig", "kubeconfig", "--context", "up,west", "--output", "-"]).ends(1);
    assert_eq!(ran.records().iter().map(|r| r["context"].as_str().unwrap()).collect::<Vec<_>>(), ["up"]);
    folder.run(&["--kubeconfig", "kubeconfig", "--context", "west", "--output", "-"]).ends(2);
    let fixed = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectSnapshotSink", "metadata": {"name": "git", "namespace": "team"},
        "spec": {"type": "git", "endpoint": "https://git.example/x.git", "cluster": "fixed"},
    });
    folder.config("sink", &[fixed]);
    folder.run(&args[..6]).ends(2).reports("has a fixed spec.cluster");
}
