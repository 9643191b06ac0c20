//! Logging in, TLS, outages, limits.

use crate::server::{Database, Run, delete, row, server, upserts};
use kollect_export::{Class, Landed, RowSink, SinkError};
use kollect_net::{ClientCert, Guard, TlsSpec};
use kollect_sink_postgres::{ConnectionPools, PostgresConfig, PostgresSink};
use kollect_testkit::servers::{Certs, Postgres, PostgresOptions, wait_for};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

async fn probe(config: PostgresConfig) -> Result<String, SinkError> {
    let sink = PostgresSink::new(config, &ConnectionPools::default())?;
    sink.probe(&CancellationToken::new()).await.map(|probe| probe.message)
}

fn is_silent(error: &SinkError) {
    for word in [Postgres::PASSWORD, "wrong-pw", Postgres::USER, "localhost", "127.0.0.1", "no-such-db"] {
        assert!(!error.to_string().contains(word), "{error}");
    }
}

#[tokio::test]
async fn the_probe_reports_what_works_and_what_does_not() {
    let db = Database::new("probe").await;
    let good = db.config().await;
    assert_eq!(probe(good.clone()).await.unwrap(), "PostgreSQL ping succeeded");
    let dsn = good.dsn.expose().to_owned();
    let other_ca = Certs::new().unwrap().ca.into_bytes();
    let changed = |dsn: String| PostgresConfig { dsn: dsn.into(), ..good.clone() };
    let terminal = [
        (changed(dsn.replace(Postgres::PASSWORD, "wrong-pw")), "login"),
        (changed(dsn.replace("/probe", "/no-such-db")), "database does not exist"),
        (changed(dsn.replace("verify-full", "disable")), "login"),
        (PostgresConfig { tls: TlsSpec::default(), ..good.clone() }, "certificate was not accepted"),
        (
            PostgresConfig { tls: TlsSpec { ca_pem: Some(other_ca), ..TlsSpec::default() }, ..good.clone() },
            "certificate",
        ),
        (PostgresConfig { guard: Guard { allow_private: true, ..Guard::default() }, ..good.clone() }, "not allowed"),
    ];
    for (config, expected) in terminal {
        let error = probe(config).await.unwrap_err();
        assert_eq!(error.class, Class::Terminal, "{error}");
        assert!(error.message.contains(expected), "{expected}: {error}");
        is_silent(&error);
    }
    let error = probe(changed(dsn.replace(&format!(":{}/", server().await.port()), ":1/"))).await.unwrap_err();
    assert!(matches!(error.class, Class::Transient { .. }), "{error}");
    is_silent(&error);
}

#[tokio::test]
async fn key_value_strings_and_unverified_tls_work() {
    let db = Database::new("kv").await;
    let port = server().await.port();
    let dsn = format!(
        "host=127.0.0.1 port={port} user={} password='{}' dbname=kv sslmode=require",
        Postgres::USER,
        Postgres::PASSWORD
    );
    let config = PostgresConfig { dsn: dsn.into(), tls: TlsSpec::default(), ..db.config().await };
    probe(config).await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_logs_in_and_its_absence_is_terminal() {
    let db = Database::new("mtls").await;
    let server = server().await;
    let dsn = format!("postgres://{}@localhost:{}/mtls?sslmode=verify-full", Postgres::CERT_USER, server.port());
    let config = PostgresConfig { dsn: dsn.into(), ..db.config().await };
    let error = probe(config.clone()).await.unwrap_err();
    assert_eq!(error.class, Class::Terminal, "{error}");
    let own = server.client_cert(Postgres::CERT_USER).unwrap();
    let client_cert = Some(ClientCert { chain_pem: own.cert.into_bytes(), key_pem: own.key.into() });
    probe(PostgresConfig { tls: TlsSpec { client_cert, ..config.tls.clone() }, ..config }).await.unwrap();
}

#[tokio::test]
async fn an_outage_is_transient_and_the_sink_recovers() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let mut config = PostgresConfig::new(server.url(Postgres::DATABASE).into(), "items");
    config.guard = Guard::open();
    config.tls.ca_pem = Some(server.ca_pem().as_bytes().to_vec());
    let sink = PostgresSink::new(config, &ConnectionPools::default()).unwrap();
    let run = Run::of(&sink);
    run.held().await.unwrap();
    let rows = [row("u", ("shop", "cart"), "{}")];
    run.apply(upserts(&rows)).await.unwrap();
    server.stop();
    for _ in 0..3 {
        let error = run.apply(upserts(&rows)).await.unwrap_err();
        assert!(matches!(error.class, Class::Transient { .. }), "{error}");
        is_silent(&error);
    }
    server.restart().await.unwrap();
    assert!(run.intact().await.unwrap());
    assert_eq!(run.held().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_blocked_statement_ends_by_its_limit_or_by_cancellation() {
    let db = Database::new("blocked").await;
    let config = PostgresConfig { statement_timeout: Duration::from_millis(300), ..db.config().await };
    let sink = PostgresSink::new(config, &ConnectionPools::default()).unwrap();
    let run = Run::of(&sink);
    let rows = [row("u", ("shop", "cart"), "{}")];
    run.held().await.unwrap();
    db.run("BEGIN; LOCK TABLE items").await;
    let error = run.apply(upserts(&rows)).await.unwrap_err();
    assert!(matches!(error.class, Class::Transient { .. }) && error.message.contains("57014"), "{error}");

    let patient = PostgresSink::new(db.config().await, &ConnectionPools::default()).unwrap();
    let run = Run::of(&patient);
    let cancel = run.cancel.clone();
    let began = Instant::now();
    let (result, ()) = tokio::join!(run.apply(upserts(&rows)), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancel.cancel();
    });
    assert_eq!(result.unwrap_err().stage, "cancelled");
    assert!(began.elapsed() < Duration::from_secs(5));
    db.run("ROLLBACK").await;
    assert_eq!(db.count("true").await, 0);
}

/// Blocks commits on the server until the test releases them.
const SLOW_COMMIT: &str = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
    $$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$; \
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED \
    FOR EACH ROW EXECUTE FUNCTION slow()";
const END_COMMIT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
    WHERE datname = 'lost_ack' AND query = 'COMMIT' AND state = 'active'";

#[tokio::test]
async fn a_commit_without_an_answer_may_have_landed() {
    let db = Database::new("lost_ack").await;
    let sink = db.sink().await;
    let run = Run::of(&sink);
    run.held().await.unwrap();
    db.run(SLOW_COMMIT).await;
    let rows = [row("u", ("shop", "cart"), "{}")];
    let (result, ()) = tokio::join!(run.apply(upserts(&rows)), async {
        while db.admin.query_one(END_COMMIT, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let error = result.unwrap_err();
    assert_eq!((error.stage, error.landed), ("commit", Landed::Unknown), "{error}");
    assert!(matches!(error.class, Class::Transient { .. }), "{error}");
    db.run("DROP TRIGGER slow ON items").await;
    assert_eq!(run.held().await.unwrap(), []);
    run.apply(upserts(&rows)).await.unwrap();
}

#[tokio::test]
async fn sinks_with_equal_settings_share_a_bounded_pool() {
    let db = Database::new("shared").await;
    let pools = ConnectionPools::default();
    let config = PostgresConfig { max_connections: 2, ..db.config().await };
    let mut sinks = Vec::new();
    for _ in 0..10 {
        sinks.push(PostgresSink::new(config.clone(), &pools).unwrap());
    }
    let runs: Vec<_> = sinks.iter().map(Run::of).collect();
    for result in futures_util::future::join_all(runs.iter().map(Run::held)).await {
        result.unwrap();
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shared' AND application_name = 'kollect'";
    let open: i64 = db.admin.query_one(open, &[]).await.unwrap().get(0);
    assert!((1..=2).contains(&open), "{open}");
    let destination = sinks[0].destination();
    assert!(destination.starts_with("public.items (database ") && destination.ends_with("cluster \"prod\")"));
    assert!(!destination.contains("shared") && !destination.contains("localhost"), "{destination}");
}

#[tokio::test]
async fn a_connection_that_sent_a_bulk_is_closed_once_it_idles_and_others_are_kept() {
    let db = Database::new("bulk").await;
    let open = async || {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'bulk' AND application_name = 'kollect'";
        anyhow::Ok(db.admin.query_one(open, &[]).await?.get::<_, i64>(0))
    };
    let sink = db.sink().await;
    let run = Run::of(&sink);
    run.held().await.unwrap();
    let filler = format!("{{\"v\":\"{}\"}}", "x".repeat(400));
    let rows: Vec<_> = (0..500).map(|n| row(&format!("u{n}"), ("shop", "cart"), &filler)).collect();
    run.apply(upserts(&rows)).await.unwrap();
    assert_eq!(open().await.unwrap(), 1, "it is there for the next part of a long export");
    wait_for("the connection is closed", Duration::from_secs(20), async || Ok(open().await? == 0)).await.unwrap();
    // Many deletions are a bulk as well.
    run.apply(rows.iter().map(|row| delete(row)).collect()).await.unwrap();
    assert_eq!(open().await.unwrap(), 1);
    wait_for("the connection is closed", Duration::from_secs(20), async || Ok(open().await? == 0)).await.unwrap();

    let began = Instant::now();
    run.apply(upserts(&[row("u1", ("shop", "cart"), "{}")])).await.unwrap();
    // Longer than a bulk's connection is kept.
    while began.elapsed() < Duration::from_secs(6) {
        assert_eq!(open().await.unwrap(), 1, "a connection without a bulk is kept");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn every_service_at_a_private_address_gives_the_same_error() {
    // To the guard this address is another host.
    let bind = async || tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let (closed, silent, other) = (bind().await, bind().await, bind().await);
    let ports = [&closed, &silent, &other].map(|listener| listener.local_addr().unwrap().port());
    drop(closed);
    let answering = tokio::spawn(async move {
        loop {
            let (mut connection, _) = other.accept().await.unwrap();
            let page = b"HTTP/1.1 400 CANARY\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut connection, page).await;
        }
    });
    let mut texts = Vec::new();
    for (port, mode) in [
        (ports[0], "prefer"),
        (ports[1], "prefer"),
        (ports[2], "prefer"),
        (ports[2], "disable"),
        (ports[2], "verify-full"),
    ] {
        let dsn = format!("postgres://u:p@127.0.0.2:{port}/d?sslmode={mode}");
        let mut config = PostgresConfig::new(dsn.as_str().into(), "items");
        config.guard = Guard { allow_private: true, allow_loopback: true, ..Guard::default() };
        config.connect_timeout = Duration::from_millis(500);
        let sink = PostgresSink::new(config, &ConnectionPools::default()).unwrap();
        let error = sink.probe(&CancellationToken::new()).await.unwrap_err();
        assert!(matches!(error.class, Class::Transient { .. }), "{error}");
        texts.push(error.to_string());
    }
    answering.abort();
    assert!(texts.iter().all(|text| *text == texts[0] && text.contains("private address")), "{texts:#?}");
}
