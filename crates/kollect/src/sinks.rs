//! The only `match` over sink types: from specs and Secrets to the sinks of their crates.

use kollect_api::{DatabaseSinkType, SnapshotSinkType};
use kollect_export::SinkError;
use kollect_export::layout::DocumentSpec;
use kollect_net::Guard;
use kollect_resources::registry::{BuiltSink, SecretBundle, SinkObject, SinkRegistry};
use kollect_rules::DestinationHost;
use kollect_sink_git::GitProcessSettings;
use kollect_sink_postgres::ConnectionPools;
use kollect_spec::{ConfiguredSink, LayoutContext, SecretRef, SecretValues, SinkSecrets, SinkServer, invalid};
use std::path::PathBuf;

/// Builds the sinks of this release.
pub(crate) struct Registry {
    pub guard: Guard,
    pub pools: ConnectionPools,
    pub mirror_root: PathBuf,
    pub force_basic_auth: bool,
    /// Bytes of the largest document that an inventory may write.
    pub max_document: u64,
}

impl SinkRegistry for Registry {
    fn secrets(&self, sink: &SinkObject) -> Vec<SecretRef> {
        match sink {
            SinkObject::Snapshot(s) => kollect_sink_git::secret_refs(&s.spec),
            SinkObject::Database(s) => kollect_sink_postgres::secret_refs(&s.spec),
            SinkObject::Event(s) => kollect_spec::secret_refs(&s.spec.common),
        }
    }

    fn build(&self, sink: &SinkObject, secrets: &SecretBundle) -> Result<BuiltSink, SinkError> {
        let values = secrets.iter().map(|(field, data)| (*field, SecretValues::new(|key| data.get(key))));
        let built = self.configured(sink, &values.collect())?;
        let host = |SinkServer { host, port, usual_port }| DestinationHost { host, port, usual_port };
        Ok(BuiltSink {
            sink: built.sink,
            destination: built.destination,
            cluster: sink.common().cluster.as_deref().unwrap_or_default().into(),
            hosts: built.servers.into_iter().map(host).collect(),
            insecure: built.insecure.map(|why| (why.reason(), why.message())),
        })
    }

    fn document(&self, sink: &SinkObject, context: LayoutContext) -> Result<Option<DocumentSpec>, SinkError> {
        match sink {
            SinkObject::Snapshot(s) => kollect_sink_git::layout(&s.spec, context).map(Some),
            SinkObject::Database(_) | SinkObject::Event(_) => Ok(None),
        }
    }
}

impl Registry {
    fn configured(&self, sink: &SinkObject, secrets: &SinkSecrets<'_>) -> Result<ConfiguredSink, SinkError> {
        match sink {
            SinkObject::Snapshot(s) => match s.spec.type_ {
                SnapshotSinkType::Git | SnapshotSinkType::Gitlab => {
                    kollect_sink_git::from_spec(&s.spec, secrets, &self.git())
                }
                SnapshotSinkType::S3 | SnapshotSinkType::Gcs => Err(not_here(sink)),
            },
            SinkObject::Database(s) => match s.spec.type_ {
                DatabaseSinkType::Postgres => {
                    kollect_sink_postgres::from_spec(&s.spec, secrets, &self.guard, &self.pools)
                }
                DatabaseSinkType::Bigquery | DatabaseSinkType::Mongodb => Err(not_here(sink)),
            },
            SinkObject::Event(_) => Err(not_here(sink)),
        }
    }

    fn git(&self) -> GitProcessSettings {
        GitProcessSettings {
            guard: self.guard.clone(),
            mirror_root: self.mirror_root.clone(),
            force_basic_auth: self.force_basic_auth,
            max_document: self.max_document,
        }
    }
}

fn not_here(sink: &SinkObject) -> SinkError {
    invalid(format!("this release has no {} sink yet; use git or postgres", sink.sink_type()))
}
