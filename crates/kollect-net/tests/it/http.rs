//! Requests and responses over plain HTTP.

use bytes::Bytes;
use http::Request;
use kollect_net::http::{Client, ClientConfig, Upload};
use kollect_net::{Guard, GuardedDialer, NetError, TlsSpec};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

fn client(guard: Guard, idle: Duration) -> Client {
    Client::new(ClientConfig {
        dialer: GuardedDialer::new(guard),
        tls: TlsSpec::default().client_config().unwrap(),
        server_name: None,
        connect_timeout: Duration::from_secs(5),
        idle_timeout: idle,
    })
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Answers every request on every connection with its own head; returns the port and the number of connections.
async fn echo(close_after: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                for _ in 0..close_after {
                    let Some(head) = read_head(&mut stream).await else { return };
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (port, connections)
}

fn get(port: u16) -> Request<Upload> {
    Request::get(format!("http://user:pw@127.0.0.1:{port}/a/b?c=d")).body(Upload::Empty).unwrap()
}

#[tokio::test]
async fn a_connection_is_used_again_and_the_head_is_right() {
    let (port, connections) = echo(9).await;
    let client = client(Guard::open(), Duration::from_secs(5));
    for _ in 0..3 {
        let body = client.send(get(port)).await.unwrap().collect(10_000).await.unwrap();
        let head = String::from_utf8(body.to_vec()).unwrap();
        assert!(head.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{head}");
        assert!(!head.contains("pw"), "{head}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced() {
    let (port, connections) = echo(1).await;
    let client = client(Guard::open(), Duration::from_secs(5));
    for _ in 0..5 {
        client.send(get(port)).await.unwrap().collect(10_000).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_longer_answer_than_the_limit_is_refused() {
    let (port, _) = echo(1).await;
    let error =
        client(Guard::open(), Duration::from_secs(5)).send(get(port)).await.unwrap().collect(10).await.unwrap_err();
    assert!(matches!(error, NetError::TooLarge { limit: 10, .. }), "{error}");
}

#[tokio::test]
async fn a_denied_address_is_terminal() {
    let (port, connections) = echo(1).await;
    let error = client(Guard::default(), Duration::from_secs(5)).send(get(port)).await.unwrap_err();
    assert!(error.is_terminal(), "{error}");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_silent_server_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = client(Guard::open(), Duration::from_millis(100)).send(get(port)).await.unwrap_err();
    assert!(matches!(error, NetError::Timeout { .. }) && !error.is_terminal(), "{error}");
}

#[tokio::test]
async fn a_slow_answer_that_moves_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n").await.unwrap();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(40)).await;
            stream.write_all(b"x").await.unwrap();
        }
    });
    let client = client(Guard::open(), Duration::from_millis(400));
    assert_eq!(client.send(get(port)).await.unwrap().collect(100).await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_streamed_body_arrives_whole_and_reports_progress() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await.unwrap();
        let mut body = vec![0; 300_000];
        stream.read_exact(&mut body).await.unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        (head, body)
    });
    let (send, chunks) = mpsc::channel(2);
    let upload = Upload::Stream { chunks, length: Some(300_000) };
    tokio::spawn(async move {
        for _ in 0..30 {
            send.send(Ok(Bytes::from(vec![7; 10_000]))).await.unwrap();
        }
    });
    let request = Request::post(format!("http://127.0.0.1:{port}/")).body(upload).unwrap();
    let seen = AtomicUsize::new(0);
    let progress = || {
        seen.fetch_add(1, Ordering::SeqCst);
    };
    let response = client(Guard::open(), Duration::from_secs(5)).send_watched(request, &progress).await.unwrap();
    assert_eq!(response.status, 204);
    let (head, body) = server.await.unwrap();
    assert!(head.contains("content-length: 300000"), "{head}");
    assert!(body.iter().all(|b| *b == 7));
    assert!(seen.load(Ordering::SeqCst) > 0);
}
