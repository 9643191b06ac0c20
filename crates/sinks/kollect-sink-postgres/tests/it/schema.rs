//! Creating, checking and migrating the table.

use crate::server::{Database, Run, row, server, upserts};
use kollect_export::Class;
use kollect_sink_postgres::{ConnectionPools, PostgresConfig, PostgresSink, Provisioning};
use kollect_testkit::servers::Postgres;

const REFERENCE: &str = "CREATE TABLE items (inventory_namespace text NOT NULL, inventory_name text NOT NULL, \
    target_name text NOT NULL, source_uid text NOT NULL, cluster text NOT NULL DEFAULT '', \
    resource_namespace text NOT NULL DEFAULT '', payload jsonb NOT NULL, exported_at timestamptz NOT NULL, \
    PRIMARY KEY (inventory_namespace, inventory_name, target_name, source_uid))";
const OURS: &str = "CREATE TABLE items (cluster text NOT NULL, inventory_namespace text NOT NULL, \
    inventory_name text NOT NULL, target_namespace text NOT NULL, target_name text NOT NULL, source_uid text NOT NULL, \
    resource_namespace text NOT NULL, payload jsonb NOT NULL, digest bytea, exported_at timestamptz NOT NULL, \
    PRIMARY KEY (cluster, inventory_namespace, inventory_name, target_name, source_uid))";

async fn existing(db: &Database) -> PostgresSink {
    PostgresSink::new(PostgresConfig { mode: Provisioning::Existing, ..db.config().await }, &ConnectionPools::default())
        .unwrap()
}

#[tokio::test]
async fn many_starters_at_once_make_one_table() {
    let db = Database::new("starters").await;
    let mut sinks = Vec::new();
    for _ in 0..8 {
        sinks.push(db.sink().await);
    }
    let starts = sinks.iter().enumerate().map(|(at, sink)| async move {
        Run::of(sink).apply(upserts(&[row(&format!("u{at}"), ("shop", "cart"), "{}")])).await
    });
    for result in futures_util::future::join_all(starts).await {
        assert_eq!(result.unwrap().rows, 1);
    }
    assert_eq!(db.count("true").await, 8);
}

#[tokio::test]
async fn existing_mode_names_what_is_wrong_and_sends_no_ddl() {
    let db = Database::new("existing_bad").await;
    let sink = existing(&db).await;
    let says = async |what: &str| {
        let error = Run::of(&sink).held().await.unwrap_err();
        assert_eq!(error.class, Class::Terminal);
        assert!(error.message.contains(what) && error.message.contains("public.items"), "{error}");
    };
    says("does not exist").await;
    db.run(REFERENCE).await;
    says("target_namespace, digest").await;
    db.run("ALTER TABLE items ADD target_namespace text NOT NULL DEFAULT '', ADD digest bytea").await;
    says("has no primary key").await;
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(db.admin.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn existing_mode_works_with_the_least_rights() {
    let db = Database::new("existing_good").await;
    db.run(OURS).await;
    let user = Postgres::USER;
    db.run(&format!(
        "ALTER DATABASE existing_good OWNER TO postgres; REVOKE ALL ON DATABASE existing_good FROM PUBLIC, {user}; \
        GRANT CONNECT ON DATABASE existing_good TO {user}; \
        REVOKE ALL ON SCHEMA public FROM PUBLIC, {user}; GRANT USAGE ON SCHEMA public TO {user}; \
        GRANT SELECT, INSERT, UPDATE, DELETE ON items TO {user}"
    ))
    .await;
    let sink = existing(&db).await;
    let run = Run::of(&sink);
    assert_eq!(run.held().await.unwrap(), []);
    let rows: Vec<_> = (0..2_500).map(|at| row(&format!("u{at}"), ("shop", "cart"), "{}")).collect();
    // No temporary tables either, so many rows go in arrays.
    assert_eq!(run.apply(upserts(&rows)).await.unwrap().rows, 2_500);
    assert!(run.intact().await.unwrap());
    db.run("TRUNCATE items").await;
    assert!(!run.intact().await.unwrap());
    assert_eq!(run.held().await.unwrap(), []);
    run.apply(upserts(&rows[..1])).await.unwrap();
    assert_eq!(run.forget().await.unwrap().rows, 1);
}

#[tokio::test]
async fn a_table_of_the_older_shape_is_migrated_with_its_rows() {
    let db = Database::new("migrate").await;
    db.run(&format!("{REFERENCE}; ALTER TABLE items OWNER TO {}", Postgres::USER)).await;
    let old = row("u", ("shop", "cart"), "{}");
    let payload = String::from_utf8(kollect_model::item_bytes(&old)).unwrap();
    db.run(&format!("INSERT INTO items VALUES ('shop', 'inv', 'workloads', 'u', 'prod', 'shop', '{payload}', now())"))
        .await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    let held = run.held().await.unwrap();
    assert_eq!((held.len(), &held[0].id, held[0].digest), (1, &old.id, None));
    run.apply(upserts(std::slice::from_ref(&old))).await.unwrap();
    assert_eq!(run.held().await.unwrap()[0].digest, Some(old.digest));
    assert_eq!(db.count("true").await, 1);
}

#[tokio::test]
async fn a_foreign_table_is_left_alone() {
    let db = Database::new("foreign_table").await;
    db.run("CREATE TABLE items (id int PRIMARY KEY, payload text)").await;
    let sink = db.sink().await;
    let error = Run::of(&sink).held().await.unwrap_err();
    assert_eq!(error.class, Class::Terminal);
    assert!(error.message.contains("not one of ours"), "{error}");
    assert_eq!(db.admin.query("SELECT id, payload FROM items", &[]).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_missing_schema_is_terminal() {
    let db = Database::new("no_schema").await;
    let config = PostgresConfig { schema: "nope".into(), ..db.config().await };
    let sink = PostgresSink::new(config, &ConnectionPools::default()).unwrap();
    let error = Run::of(&sink).held().await.unwrap_err();
    assert_eq!(error.class, Class::Terminal);
    assert!(error.message.contains("schema does not exist"), "{error}");
    assert!(server().await.port() > 0);
}
