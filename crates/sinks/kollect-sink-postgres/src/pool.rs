//! Connection pools, shared by all sinks with equal connection settings.
//!
//! A connection returns to its pool only by [`PooledConnection::give_back`], when no transaction is open on it.

use crate::config::PostgresConfig;
use crate::connection::{Connection, Connector};
use kollect_export::SinkError;
use kollect_net::Insecure;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Longest idle time of a connection: firewalls drop the state of older ones.
const MAX_IDLE: Duration = Duration::from_mins(4);
/// Interval at which the wait for a free connection counts as progress.
const WAIT_TICK: Duration = Duration::from_secs(1);
/// The driver never shrinks its send buffer, so a connection that sent more than this many bytes at once is closed
/// [`BULK_IDLE`] after its last bulk.
const BULK_BYTES: usize = 64 << 10;
const BULK_IDLE: Duration = Duration::from_secs(5);

/// The pools of a process, by a hash of the connection settings. Clones share them.
#[derive(Clone, Default)]
pub struct ConnectionPools {
    by_settings: Arc<Mutex<HashMap<[u8; 32], Weak<ConnectionPool>>>>,
}

impl std::fmt::Debug for ConnectionPools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionPools").finish_non_exhaustive()
    }
}

impl ConnectionPools {
    pub(crate) fn get(&self, config: &PostgresConfig) -> Result<Arc<ConnectionPool>, SinkError> {
        let key = settings_hash(config);
        if let Some(pool) = self.by_settings.lock().get(&key).and_then(Weak::upgrade) {
            return Ok(pool);
        }
        let pool = Arc::new(ConnectionPool::new(config)?);
        let mut pools = self.by_settings.lock();
        pools.retain(|_, pool| pool.strong_count() > 0);
        if let Some(first) = pools.get(&key).and_then(Weak::upgrade) {
            return Ok(first);
        }
        pools.insert(key, Arc::downgrade(&pool));
        Ok(pool)
    }
}

fn settings_hash(config: &PostgresConfig) -> [u8; 32] {
    let client = config.tls.client_cert.as_ref();
    let limits = format!(
        "{:?} {:?} {:?} {} {} {}",
        config.guard,
        config.statement_timeout,
        config.connect_timeout,
        config.max_connections,
        config.tls.insecure_skip_verify,
        config.tls.skip_host_name,
    );
    let mut hash = Sha256::new();
    for part in [
        config.dsn.expose().as_bytes(),
        config.application_name.as_bytes(),
        config.tls.ca_pem.as_deref().unwrap_or_default(),
        client.map_or(&[], |own| &own.chain_pem),
        client.map_or("", |own| own.key_pem.expose()).as_bytes(),
        config.tls.server_name.as_deref().unwrap_or_default().as_bytes(),
        limits.as_bytes(),
    ] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Connections to one server.
pub(crate) struct ConnectionPool {
    opener: Connector,
    wait: Duration,
    idle: Mutex<Vec<IdleConnection>>,
    free: Arc<Semaphore>,
}

/// A connection in the pool.
struct IdleConnection {
    connection: Connection,
    until: Instant,
}

impl IdleConnection {
    fn is_usable(&self) -> bool {
        Instant::now() < self.until && !self.connection.client.is_closed()
    }
}

impl ConnectionPool {
    fn new(config: &PostgresConfig) -> Result<Self, SinkError> {
        Ok(Self {
            opener: Connector::new(config)?,
            wait: config.statement_timeout,
            idle: Mutex::default(),
            free: Arc::new(Semaphore::new(config.max_connections.max(1))),
        })
    }

    /// See [`Connector::insecure`].
    pub(crate) fn insecure(&self) -> Option<Insecure> {
        self.opener.insecure()
    }

    /// See [`Connector::server`].
    pub(crate) fn server(&self) -> String {
        self.opener.server()
    }

    pub(crate) fn servers(&self) -> Vec<(String, u16)> {
        self.opener.servers()
    }

    /// A new connection outside of the pool.
    pub(crate) async fn open(&self) -> Result<Connection, SinkError> {
        self.opener.open().await
    }

    /// An idle connection or a new one, in the order of the calls. `waiting` is called every [`WAIT_TICK`] while all are
    /// in use, so that the wait does not count as a stalled server.
    pub(crate) async fn acquire(self: &Arc<Self>, waiting: impl Fn()) -> Result<PooledConnection, SinkError> {
        let mut free = std::pin::pin!(self.free.clone().acquire_owned());
        let give_up = Instant::now() + self.wait;
        let permit = loop {
            match tokio::time::timeout(WAIT_TICK, &mut free).await {
                Ok(Ok(permit)) => break permit,
                Err(_) if Instant::now() < give_up => waiting(),
                Ok(Err(_)) | Err(_) => return Err(busy(self.wait)),
            }
        };
        let known = {
            let mut idle = self.idle.lock();
            idle.retain(IdleConnection::is_usable);
            idle.pop()
        };
        let connection = match known {
            Some(idle) => idle.connection,
            None => self.opener.open().await?,
        };
        Ok(PooledConnection { connection, bulk: false, pool: self.clone(), _permit: permit })
    }

    fn close_unusable(&self) {
        self.idle.lock().retain(IdleConnection::is_usable);
    }
}

fn busy(after: Duration) -> SinkError {
    let why = format!("all connections to the database were in use by other inventories for {after:?}");
    SinkError::transient("connect", why).local()
}

/// A connection in use. Dropped, it is closed; [`PooledConnection::give_back`] keeps it.
pub(crate) struct PooledConnection {
    connection: Connection,
    bulk: bool,
    pool: Arc<ConnectionPool>,
    _permit: OwnedSemaphorePermit,
}

impl Deref for PooledConnection {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl PooledConnection {
    /// Records that a transaction sends about `bytes`.
    pub(crate) fn carries(&mut self, bytes: usize) {
        self.bulk |= bytes > BULK_BYTES;
    }

    /// Returns the connection to the pool. It must have no open transaction and no pending answer.
    pub(crate) fn give_back(self) {
        let Self { mut connection, bulk, pool, _permit } = self;
        let now = Instant::now();
        if bulk {
            connection.last_bulk = Some(now);
        }
        let calm_at = connection.last_bulk.map(|last| last + BULK_IDLE);
        let until = calm_at.unwrap_or(now + MAX_IDLE);
        let closing = Arc::downgrade(&pool);
        pool.idle.lock().push(IdleConnection { connection, until });
        if calm_at.is_some() {
            tokio::spawn(async move {
                tokio::time::sleep_until(until).await;
                if let Some(pool) = closing.upgrade() {
                    pool.close_unusable();
                }
            });
        }
    }
}
