//! Builds Postgres sinks from `KollectDatabaseSink` specs of type `postgres`.

use crate::config::{PostgresConfig, Provisioning};
use crate::pool::ConnectionPools;
use crate::sink::PostgresSink;
use kollect_api::{KollectDatabaseSinkSpec, ProvisioningMode};
use kollect_export::{Sink, SinkError};
use kollect_net::{ClientCert, Guard, SecretString};
use kollect_spec::{ConfiguredSink, SecretRef, SinkSecrets, SinkServer, invalid, option_duration};
use std::sync::Arc;

const DATABASE_REF: &str = "spec.postgres.databaseRef";
const DSN_KEYS: [&str; 4] = ["dsn", "url", "connectionString", "DATABASE_URL"];

/// The Secrets that a spec refers to.
pub fn secret_refs(spec: &KollectDatabaseSinkSpec) -> Vec<SecretRef> {
    let own = SecretRef::new(DATABASE_REF, spec.postgres.as_ref().map(|postgres| &postgres.database_ref));
    kollect_spec::secret_refs(&spec.common).into_iter().chain(own).collect()
}

/// Builds the sink. Connects to nothing.
pub fn from_spec(
    spec: &KollectDatabaseSinkSpec,
    secrets: &SinkSecrets<'_>,
    guard: &Guard,
    pools: &ConnectionPools,
) -> Result<ConfiguredSink, SinkError> {
    let mut tls = kollect_spec::tls(&spec.common, secrets)?;
    let settings = spec.postgres.as_ref().ok_or_else(|| invalid("spec.postgres is missing"))?;
    let secret = secrets
        .get(DATABASE_REF)
        .ok_or_else(|| invalid("spec.postgres.databaseRef.name is empty; name the Secret with the DSN"))?;
    let dsn = secret.first_text(&DSN_KEYS).ok_or_else(|| {
        invalid("spec.postgres.databaseRef: the Secret has none of the keys dsn, url, connectionString, DATABASE_URL")
    })?;
    if let (Some(chain), Some(key)) = (secret.first(&["tls.crt"]), secret.first_text(&["tls.key"])) {
        tls.client_cert = Some(ClientCert { chain_pem: chain.to_vec(), key_pem: SecretString::new(key) });
    }
    let mut config = PostgresConfig::new(SecretString::new(dsn), &settings.table);
    if let Some(schema) = settings.schema.as_ref().filter(|schema| !schema.trim().is_empty()) {
        config.schema.clone_from(schema);
    }
    config.mode = match spec.common.provisioning_mode() {
        ProvisioningMode::Ensure => Provisioning::Ensure,
        ProvisioningMode::Existing => Provisioning::Existing,
    };
    config.cluster = spec.common.cluster.clone().unwrap_or_default();
    config.tls = tls;
    config.guard = guard.clone();
    if let Some(timeout) = option_duration(&spec.common, "statement_timeout")? {
        config.statement_timeout = timeout;
    }
    let sink = PostgresSink::new(config, pools)?;
    let server = |(host, port)| SinkServer { host, port, usual_port: 5432 };
    Ok(ConfiguredSink {
        destination: sink.destination(),
        servers: sink.servers().into_iter().map(server).collect(),
        insecure: sink.insecure(),
        sink: Sink::Rows(Arc::new(sink)),
    })
}
