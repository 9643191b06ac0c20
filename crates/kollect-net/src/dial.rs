//! Opens TCP connections to addresses that the guard allows.
//!
//! The guard checks the resolved address that is then dialled, so DNS rebinding does not bypass it. No proxies.

use crate::{Guard, NetError};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Resolves, checks every address, and connects to a checked one.
#[derive(Clone, Debug, Default)]
pub struct GuardedDialer {
    guard: Guard,
}

impl GuardedDialer {
    /// A dialer under the given guard.
    pub fn new(guard: Guard) -> Self {
        Self { guard }
    }

    /// The guard, for clients that open their own connections.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Whether texts of the connected server may appear in an error; false when its address is unknown.
    pub fn may_quote(&self, stream: &TcpStream) -> bool {
        stream.peer_addr().is_ok_and(|peer| self.guard.may_quote(peer.ip()))
    }

    /// Addresses of `host`, all of them allowed; one denied address denies the host.
    pub async fn resolve(&self, host: &str, port: u16, deadline: Duration) -> Result<Vec<SocketAddr>, NetError> {
        let denied = |why| NetError::Denied { host: host.to_owned(), why };
        self.guard.check_host(host).map_err(denied)?;
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let found = timeout(deadline, tokio::net::lookup_host((name, port)))
            .await
            .map_err(|_| NetError::Timeout { what: "resolving the host name", after: deadline })?
            .map_err(|_| NetError::Resolve { host: host.to_owned() })?;
        let addresses: Vec<SocketAddr> = found.collect();
        for address in &addresses {
            self.guard.check_addr(address.ip()).map_err(denied)?;
        }
        if addresses.is_empty() {
            return Err(NetError::Resolve { host: host.to_owned() });
        }
        Ok(addresses)
    }

    /// Connects within `deadline`, trying the addresses in order.
    pub async fn connect(&self, host: &str, port: u16, deadline: Duration) -> Result<TcpStream, NetError> {
        let end = Instant::now() + deadline;
        let addresses = self.resolve(host, port, deadline).await?;
        let quotable = addresses.iter().all(|address| self.guard.may_quote(address.ip()));
        self.connect_to(host, &addresses, end, deadline).await.map_err(|error| error.withheld(host, quotable))
    }

    async fn connect_to(
        &self,
        host: &str,
        addresses: &[SocketAddr],
        end: Instant,
        deadline: Duration,
    ) -> Result<TcpStream, NetError> {
        let mut last = NetError::Timeout { what: "connecting", after: deadline };
        for (at, address) in addresses.iter().enumerate() {
            // Each address gets an equal share of the remaining time, so that an unreachable first one cannot use it all.
            let left = end.saturating_duration_since(Instant::now());
            let others = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
            match timeout_at(Instant::now() + left / others, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Small messages must not wait for earlier acknowledgements; without the option they are only slower.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => {
                    last = NetError::Connect { host: host.to_owned(), why: error.kind().to_string() };
                }
                Err(_) => last = NetError::Timeout { what: "connecting", after: deadline },
            }
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn loopback_is_refused_before_a_connection_is_opened() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let error = GuardedDialer::default().connect(host, port, SECOND).await.unwrap_err();
            assert!(matches!(error, NetError::Denied { .. }) && error.is_terminal(), "{host}: {error}");
        }
        assert!(GuardedDialer::new(Guard::open()).connect("127.0.0.1", port, SECOND).await.is_ok());
    }

    #[tokio::test]
    async fn odd_spellings_of_loopback_are_refused_after_resolution() {
        for host in ["127.1", "2130706433", "0x7f.1"] {
            assert!(GuardedDialer::default().connect(host, 9, SECOND).await.is_err(), "{host}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_worth_another_attempt() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let error = GuardedDialer::new(Guard::open()).connect("127.0.0.1", port, SECOND).await.unwrap_err();
        assert!(matches!(error, NetError::Connect { .. }) && !error.is_terminal(), "{error}");
    }
}
