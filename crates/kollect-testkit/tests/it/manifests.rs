//! The API server takes the CRDs, and the CRDs take what tests, bench and demo apply.

use kollect_testkit::operator::{apply, apply_yaml, install_crds};
use kollect_testkit::scene;
use kollect_testkit::servers::{ApiServer, ApiServerOptions, Postgres, PostgresOptions};
use std::path::Path;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_crds_are_served_and_take_the_examples_and_the_scene() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (server, postgres) =
        tokio::try_join!(ApiServer::start(ApiServerOptions::default()), Postgres::start(PostgresOptions::default()))
            .unwrap();
    let client = server.admin().await.unwrap();
    install_crds(&client, &root.join("deploy/crds")).await.unwrap();

    let mut files: Vec<_> =
        std::fs::read_dir(root.join("examples/demo")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap().replace("${GIT_URL}", "http://localhost:1/git/a.git");
        apply_yaml(&client, &text).await.unwrap_or_else(|error| panic!("{}: {error:#}", file.display()));
    }

    let mut objects = vec![scene::namespace("scene")];
    objects.extend(scene::postgres_sink(&postgres, "scene", "postgres", Postgres::DATABASE, "test"));
    objects.push(scene::git_sink("scene", "git", "http://localhost:1/git/a.git", "test", None));
    objects.push(scene::profile("scene", "apps", "apps/v1", "Deployment", &[("replicas", "$.spec.replicas")]));
    objects.push(scene::profile("scene", "maps", "v1", "ConfigMap", &[("value", "$.data.value")]));
    objects.push(scene::target("scene", "apps", "apps", &["scene"]));
    objects.push(scene::inventory("scene", "inventory", Some("git"), Some("postgres"), "0s"));
    objects.push(scene::config_map("scene", "map", "first", 1_000));
    for object in objects {
        apply(&client, object).await.unwrap();
    }
}
