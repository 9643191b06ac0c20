//! A TCP proxy with faults that can be changed while connections are open.
//!
//! It must not understand what it carries. A stall holds bytes back and loses
//! none; a reset and a dropped answer end the connection, as a network does.

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What goes wrong on a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TcpFault {
    /// Nothing.
    #[default]
    None,
    /// Every chunk is late by this much, in both directions.
    Latency(Duration),
    /// Nothing passes, in both directions, until the fault is changed. The connection stays open.
    Stall,
    /// The connection is reset once this many bytes have come from the server since it was opened.
    ResetAfter(u64),
    /// The server's next answer after the trigger is swallowed and the connection is reset: the request was done, and
    /// the client cannot know.
    DropAnswer(Trigger),
    /// The connection is reset at once; new ones as well.
    Refuse,
}

/// From when an answer is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// At once.
    Now,
    /// After the client has sent these bytes, which the proxy can only see without TLS.
    ClientSent(Vec<u8>),
    /// After the client has sent this many bytes since the connection was opened.
    ClientBytes(u64),
    /// After the client has begun to send for this many times, each but the first after bytes of the server. How much is
    /// sent at once varies with the load of the machine; how often the two take turns varies little.
    Turn(u64),
}

/// Which connections a fault is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpMatch {
    /// All, also those not yet opened.
    All,
    /// The connection with this number, from 0 in the order of opening.
    Number(u64),
    /// Connections whose first bytes contain this.
    FirstBytes(Vec<u8>),
}

/// A connection through the proxy.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its number, from 0 in the order of opening.
    pub number: u64,
    /// Whether it is still open.
    pub open: bool,
    /// Bytes from client to server.
    pub sent: u64,
    /// Bytes from server to client.
    pub received: u64,
    /// How often the client began to send: at first, and after bytes of the server.
    pub turns: u64,
}

/// A running proxy. Dropping it closes everything.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    target: Mutex<SocketAddr>,
    rules: watch::Sender<Vec<(TcpMatch, TcpFault)>>,
    connections: Mutex<Vec<Arc<State>>>,
    closing: CancellationToken,
}

#[derive(Debug)]
struct State {
    number: u64,
    first: Mutex<Vec<u8>>,
    sent: AtomicU64,
    received: AtomicU64,
    turns: AtomicU64,
    client_sends: AtomicBool,
    triggered: AtomicBool,
    ended: CancellationToken,
}

impl TcpProxy {
    /// Starts a proxy to `target` on a free loopback port.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            rules: watch::Sender::new(Vec::new()),
            connections: Mutex::new(Vec::new()),
            closing: CancellationToken::new(),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, accepting })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port where clients connect.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Sets the fault of all connections, open and coming. Removes all other faults.
    pub fn set(&self, fault: TcpFault) {
        self.shared.rules.send_replace(vec![(TcpMatch::All, fault)]);
    }

    /// Sets the fault of some connections, before every fault set earlier.
    pub fn set_for(&self, which: TcpMatch, fault: TcpFault) {
        self.shared.rules.send_modify(|rules| {
            rules.retain(|(other, _)| *other != which);
            rules.insert(0, (which, fault));
        });
    }

    /// Removes all faults. What was stalled goes on.
    pub fn heal(&self) {
        self.shared.rules.send_replace(Vec::new());
    }

    /// Resets all open connections; new ones are served.
    pub fn reset_all(&self) {
        for state in self.shared.connections.lock().iter() {
            state.ended.cancel();
        }
    }

    /// Every connection so far.
    pub fn connections(&self) -> Vec<Connection> {
        let describe = |state: &Arc<State>| Connection {
            number: state.number,
            open: !state.ended.is_cancelled(),
            sent: state.sent.load(Ordering::Relaxed),
            received: state.received.load(Ordering::Relaxed),
            turns: state.turns.load(Ordering::Relaxed),
        };
        self.shared.connections.lock().iter().map(describe).collect()
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.closing.cancel();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let state = {
            let mut connections = shared.connections.lock();
            let state = Arc::new(State {
                number: connections.len() as u64,
                first: Mutex::new(Vec::new()),
                sent: AtomicU64::new(0),
                received: AtomicU64::new(0),
                turns: AtomicU64::new(0),
                client_sends: AtomicBool::new(false),
                triggered: AtomicBool::new(false),
                ended: shared.closing.child_token(),
            });
            connections.push(state.clone());
            state
        };
        tokio::spawn(carry(client, shared.clone(), state));
    }
}

async fn carry(client: TcpStream, shared: Arc<Shared>, state: Arc<State>) {
    // What is not shut down properly is reset, as after a fault in the network.
    let _ = client.set_zero_linger();
    let target = *shared.target.lock();
    if let Ok(server) = TcpStream::connect(target).await {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let up = pump(Direction::Up, from_client, to_server, &shared, &state);
        let down = pump(Direction::Down, from_server, to_client, &shared, &state);
        tokio::select! {
            () = state.ended.cancelled() => {}
            () = async { tokio::join!(up, down); } => {}
        }
    }
    state.ended.cancel();
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

async fn pump(way: Direction, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, state: &State) {
    let mut rules = shared.rules.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            // A new fault must reach a connection that is quiet.
            _ = rules.changed() => {
                if fault(&rules, state) == TcpFault::Refuse {
                    return state.ended.cancel();
                }
                continue;
            }
        };
        let size = match read {
            Ok(0) => return drop(to.shutdown().await),
            Ok(size) => size,
            Err(_) => return state.ended.cancel(),
        };
        count(way, &buffer[..size], &rules, state);
        if !pass(way, &mut rules, state).await || to.write_all(&buffer[..size]).await.is_err() {
            return state.ended.cancel();
        }
    }
}

fn fault(rules: &watch::Receiver<Vec<(TcpMatch, TcpFault)>>, state: &State) -> TcpFault {
    let matches = |which: &TcpMatch| match which {
        TcpMatch::All => true,
        TcpMatch::Number(number) => *number == state.number,
        TcpMatch::FirstBytes(wanted) => contains(&state.first.lock(), wanted),
    };
    rules.borrow().iter().find(|(which, _)| matches(which)).map(|(_, fault)| fault.clone()).unwrap_or_default()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    !wanted.is_empty() && bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn count(way: Direction, chunk: &[u8], rules: &watch::Receiver<Vec<(TcpMatch, TcpFault)>>, state: &State) {
    let size = chunk.len() as u64;
    let began = state.client_sends.swap(way == Direction::Up, Ordering::Relaxed) != (way == Direction::Up);
    if way == Direction::Down {
        state.received.fetch_add(size, Ordering::Relaxed);
        return;
    }
    let sent = state.sent.fetch_add(size, Ordering::Relaxed) + size;
    let turns = state.turns.fetch_add(u64::from(began), Ordering::Relaxed) + u64::from(began);
    let mut first = state.first.lock();
    let room = 4096_usize.saturating_sub(first.len());
    first.extend_from_slice(&chunk[..chunk.len().min(room)]);
    drop(first);
    if let TcpFault::DropAnswer(trigger) = fault(rules, state) {
        let now = match trigger {
            Trigger::Now => true,
            Trigger::ClientSent(wanted) => contains(chunk, &wanted),
            Trigger::ClientBytes(limit) => sent >= limit,
            Trigger::Turn(number) => turns >= number,
        };
        if now {
            state.triggered.store(true, Ordering::Relaxed);
        }
    }
}

/// Applies the fault to a chunk that was read; `false` ends the connection.
async fn pass(way: Direction, rules: &mut watch::Receiver<Vec<(TcpMatch, TcpFault)>>, state: &State) -> bool {
    loop {
        match fault(rules, state) {
            TcpFault::None => return true,
            TcpFault::Latency(by) => {
                tokio::time::sleep(by).await;
                return true;
            }
            TcpFault::ResetAfter(limit) => return state.received.load(Ordering::Relaxed) < limit,
            TcpFault::DropAnswer(Trigger::Now) => return way == Direction::Up,
            TcpFault::DropAnswer(_) => return way == Direction::Up || !state.triggered.load(Ordering::Relaxed),
            TcpFault::Refuse => return false,
            TcpFault::Stall => {
                if rules.changed().await.is_err() {
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        address
    }

    async fn ask(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.write_all(text).await?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn a_stall_of_one_connection_leaves_the_other_alone_and_loses_nothing() {
        let proxy = TcpProxy::start(echo().await).await.unwrap();
        let mut stuck = TcpStream::connect(proxy.address()).await.unwrap();
        let mut free = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stuck, b"number one").await.unwrap(), b"number one");
        proxy.set_for(TcpMatch::FirstBytes(b"one".to_vec()), TcpFault::Stall);
        assert_eq!(ask(&mut free, b"two").await.unwrap(), b"two");
        let mut waiting = tokio::spawn(async move { ask(&mut stuck, b"later").await.unwrap() });
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut waiting).await.is_err());
        proxy.heal();
        assert_eq!(waiting.await.unwrap(), b"later");
    }

    #[tokio::test]
    async fn a_dropped_answer_reaches_the_server_and_resets_the_client() {
        let proxy = TcpProxy::start(echo().await).await.unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.set(TcpFault::DropAnswer(Trigger::ClientSent(b"COMMIT".to_vec())));
        assert_eq!(ask(&mut client, b"INSERT").await.unwrap(), b"INSERT");
        assert!(ask(&mut client, b"COMMIT").await.is_err());
        let seen = proxy.connections().remove(0);
        assert_eq!((seen.open, seen.sent, seen.received, seen.turns), (false, 12, 12, 2));
    }

    #[tokio::test]
    async fn the_answer_to_a_turn_is_dropped_however_many_bytes_it_took() {
        let proxy = TcpProxy::start(echo().await).await.unwrap();
        proxy.set(TcpFault::DropAnswer(Trigger::Turn(3)));
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        for text in [&b"a"[..], b"much longer"] {
            assert_eq!(ask(&mut client, text).await.unwrap(), text);
        }
        assert!(ask(&mut client, b"third").await.is_err());
    }

    #[tokio::test]
    async fn refused_and_reset_connections_fail_and_healing_serves_again() {
        let proxy = TcpProxy::start(echo().await).await.unwrap();
        proxy.set(TcpFault::Refuse);
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut refused, b"x").await.is_err());
        proxy.set(TcpFault::ResetAfter(4));
        let mut reset = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut reset, b"abc").await.is_ok());
        assert!(ask(&mut reset, b"de").await.is_err());
        proxy.heal();
        let mut well = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut well, b"x").await.is_ok());
    }
}
