//! Malicious servers: packs that unpack to gigabytes, lies, floods, and answers that never end.

use crate::bench::{Bench, REPO, apply, batch, held, put};
use kollect_export::{FileSink as _, Landed, SinkError};
use kollect_sink_git::{GitConfig, GitSink, TransferLimits};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const OID: &str = "1234567890123456789012345678901234567890";
const CAPABILITIES: &str = "multi_ack_detailed multi_ack side-band-64k ofs-delta shallow no-progress agent=git/2.0";

/// Commits files of zeros, so that a small pack unpacks to much.
fn commit_zeros(bench: &Bench, files: u32, megabytes: u64) {
    // Without this the server would send the files as differences from each other.
    bench.git(["config", "core.bigFileThreshold", "1m"]);
    let path = bench.repos().path(REPO);
    let mut import = Command::new("git")
        .args(["-C", path.to_str().unwrap(), "-c", "core.bigFileThreshold=1m", "-c", "core.compression=9"])
        .args(["fast-import", "--quiet", "--force"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = std::io::BufWriter::new(import.stdin.take().unwrap());
    let block = vec![0_u8; 1 << 20];
    write!(to, "commit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 1\nx").unwrap();
    for n in 0..files {
        write!(to, "\nM 100644 inline zeros-{n}\ndata {}\n", (megabytes << 20) + 8).unwrap();
        to.write_all(&u64::from(n).to_be_bytes()).unwrap();
        for _ in 0..megabytes {
            to.write_all(&block).unwrap();
        }
    }
    to.flush().unwrap();
    drop(to);
    assert!(import.wait().unwrap().success());
}

/// The most memory this process has had, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}

fn is_refused(error: &SinkError, word: &str) {
    assert_eq!((error.class.label(), error.landed), ("terminal", Landed::No), "{error}");
    assert!(error.message.contains(word) && error.message.contains("a repository or a branch of their own"), "{error}");
}

/// Runs one test alone in a process of its own, so that its memory is its own.
fn alone(test: &str) -> bool {
    if std::env::var("KOLLECT_TEST_ALONE").as_deref() == Ok(test) {
        return true;
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args([&format!("hostile::{test}"), "--exact", "--nocapture"])
        .env("KOLLECT_TEST_ALONE", test)
        .status()
        .unwrap();
    assert!(status.success());
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_pack_of_huge_files_is_refused_and_takes_no_memory() {
    if !alone("a_small_pack_of_huge_files_is_refused_and_takes_no_memory") {
        return;
    }
    let bench = Bench::start().await;
    commit_zeros(&bench, 1, 160);
    let sink = GitSink::new(GitConfig { stall: Duration::from_mins(2), ..bench.config() }).unwrap();
    is_refused(&held(&sink, "inv").await.unwrap_err(), "167772168 bytes");
    is_refused(&apply(&sink, batch("inv", [put("a.yaml", "a")])).await.unwrap_err(), "167772168 bytes");
    assert!(sink.probe(&CancellationToken::new()).await.is_ok());
    // The branch is not blocked: once the files are deleted, the export succeeds.
    bench.git(["update-ref", "-d", "refs/heads/main"]);
    apply(&sink, batch("inv", [put("a.yaml", "a")])).await.unwrap();
    println!("peak: {} MiB", peak());
    assert!(peak() < 200, "{} MiB", peak());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_below_the_limit_of_one_are_refused_together_and_take_no_memory() {
    if !alone("many_files_below_the_limit_of_one_are_refused_together_and_take_no_memory") {
        return;
    }
    let bench = Bench::start().await;
    commit_zeros(&bench, 3, 60);
    let limits = TransferLimits { inflated: 100 << 20, ..TransferLimits::DEFAULT };
    let sink = GitSink::new(GitConfig { limits, ..bench.config() }).unwrap();
    is_refused(&held(&sink, "inv").await.unwrap_err(), "more than 104857600 bytes");
    // Within the limits they are streamed to disk.
    assert!(held(&bench.sink(), "inv").await.unwrap().is_empty());
    apply(&bench.sink(), batch("inv", [put("a.yaml", "a")])).await.unwrap();
    println!("peak: {} MiB", peak());
    assert!(peak() < 200, "{} MiB", peak());
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_beyond_the_limits_of_bytes_objects_refs_and_disk_are_refused() {
    let bench = Bench::start().await;
    let files = (0..300).map(|n| put(&format!("{n}.yaml"), &format!("{:x}", n * 7_919_u64)));
    apply(&bench.sink(), batch("inv", files)).await.unwrap();
    bench.lose_mirrors();
    for (limits, word) in [
        (TransferLimits { received: 5000, ..TransferLimits::DEFAULT }, "more than 5000 bytes"),
        (TransferLimits { objects: 50, ..TransferLimits::DEFAULT }, "50 are allowed"),
        (TransferLimits { listing: 50, ..TransferLimits::DEFAULT }, "branches and tags"),
        (TransferLimits { mirror: 10_000, ..TransferLimits::DEFAULT }, "on disk"),
    ] {
        let sink = GitSink::new(GitConfig { limits, ..bench.config() }).unwrap();
        is_refused(&held(&sink, "inv").await.unwrap_err(), word);
    }
    let full = TransferLimits { mirrors: 10_000, ..TransferLimits::DEFAULT };
    let error = held(&GitSink::new(GitConfig { limits: full, ..bench.config() }).unwrap(), "inv").await.unwrap_err();
    assert!(error.class.label() == "transient" && error.message.contains("the mirrors of all"), "{error}");
    assert_eq!(held(&bench.sink(), "inv").await.unwrap().len(), 300);
}

fn packet(text: &str) -> Vec<u8> {
    format!("{:04x}{text}", text.len() + 4).into_bytes()
}

fn band(channel: u8, content: &[u8]) -> Vec<u8> {
    [format!("{:04x}", content.len() + 5).as_bytes(), &[channel], content].concat()
}

fn listing() -> Vec<u8> {
    let branch = format!("{OID} refs/heads/main\0{CAPABILITIES}\n");
    [packet("# service=git-upload-pack\n"), b"0000".to_vec(), packet(&branch), b"0000".to_vec()].concat()
}

/// What precedes a pack.
fn negotiated() -> Vec<u8> {
    [packet(&format!("shallow {OID}")), b"0000".to_vec(), packet("NAK\n")].concat()
}

/// Reads one request.
async fn request(connection: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        match connection.read(&mut buffer).await.ok()? {
            0 => return None,
            count => seen.extend_from_slice(&buffer[..count]),
        }
    }
}

/// What the server does with a request for the pack.
#[derive(Clone)]
enum Then {
    /// Sends this, and this again and again.
    Flood(Vec<u8>, Vec<u8>),
    /// Sends a byte now and then.
    Drip(Vec<u8>),
}

/// A server whose list of branches is `listing` and whose pack is `then`.
async fn server(listing: Then, then: Then) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let (listing, then) = (listing.clone(), then.clone());
            tokio::spawn(async move {
                let shallow = Then::Flood([packet(&format!("shallow {OID}")), b"0000".to_vec()].concat(), Vec::new());
                while let Some(asked) = request(&mut connection).await {
                    let (kind, answer) = match () {
                        () if asked.contains("/info/refs") => ("advertisement", &listing),
                        () if asked.contains("done\n") => ("result", &then),
                        () => ("result", &shallow),
                    };
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-{kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
                    );
                    connection.write_all(head.as_bytes()).await.ok()?;
                    answer_with(&mut connection, answer).await?;
                }
                Some(())
            });
        }
    });
    format!("http://localhost:{port}/r.git")
}

async fn answer_with(connection: &mut TcpStream, answer: &Then) -> Option<()> {
    match answer {
        Then::Flood(first, rest) => {
            chunk(connection, first).await?;
            if rest.is_empty() {
                return chunk(connection, b"").await;
            }
            loop {
                chunk(connection, rest).await?;
            }
        }
        Then::Drip(bytes) => {
            for byte in bytes.iter().cycle() {
                chunk(connection, &[*byte]).await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            None
        }
    }
}

async fn chunk(connection: &mut TcpStream, bytes: &[u8]) -> Option<()> {
    let framed = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    connection.write_all(&framed).await.ok()
}

async fn error_of(listing: Then, pack: Then, limits: TransferLimits) -> SinkError {
    let bench = tempfile::tempdir().unwrap();
    let mut config = GitConfig::new(server(listing, pack).await, bench.path());
    config.guard = kollect_net::Guard::open();
    config.stall = Duration::from_secs(5);
    config.limits = limits;
    let sink = GitSink::new(config).unwrap();
    tokio::time::timeout(Duration::from_secs(100), held(&sink, "inv")).await.unwrap().unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_an_end_are_cut_off() {
    let good = || Then::Flood(listing(), Vec::new());
    let nak = negotiated;
    let mut open_listing = listing();
    open_listing.truncate(open_listing.len() - 4);
    let endless_refs = (0..1000).flat_map(|n| packet(&format!("{OID} refs/heads/b{n}\n"))).collect::<Vec<_>>();
    let head = [nak(), band(1, b"PACK\0\0\0\x02\0\0\0\x02")].concat();
    // An object of zero bytes whose deflate stream is empty never ends.
    let empty_blocks = [nak(), band(1, b"PACK\0\0\0\x02\0\0\0\x01\x30\x78\x01")].concat();
    let blocks = band(1, &[0, 0, 0, 0xff, 0xff].repeat(5000));
    let small = TransferLimits { received: 8 << 20, listing: 1 << 20, ..TransferLimits::DEFAULT };
    for (listing, pack, word) in [
        (Then::Flood(open_listing, endless_refs), good(), "branches and tags"),
        (good(), Then::Flood(nak(), band(2, &[b'.'; 900])), "messages"),
        (good(), Then::Flood(nak(), packet("NAK\n").repeat(1000)), ""),
        (good(), Then::Flood(nak(), band(1, b"")), "more than 8388608 bytes"),
        (good(), Then::Flood(head, vec![b'0'; 900]), ""),
        (good(), Then::Flood(empty_blocks, blocks), "more than 8388608 bytes"),
        (good(), Then::Flood(nak(), b"0000".repeat(100)), ""),
    ] {
        let error = error_of(listing, pack, small).await;
        assert!(error.message.contains(word), "{word}: {error}");
        assert_eq!(error.landed, Landed::No);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_drips_is_given_up() {
    let good = || Then::Flood(listing(), Vec::new());
    let limits = TransferLimits { patience: Duration::from_secs(2), ..TransferLimits::DEFAULT };
    for (listing, pack) in
        [(Then::Drip(listing()), good()), (good(), Then::Drip([negotiated(), band(2, b"x")].concat()))]
    {
        let error = error_of(listing, pack, limits).await;
        assert!(error.class.label() == "transient" && error.message.contains("too slowly"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_in_a_pack_are_errors_and_do_not_count_as_a_damaged_mirror() {
    let good = || Then::Flood(listing(), Vec::new());
    let pack = |bytes: &[u8]| [negotiated(), band(1, bytes), b"0000".to_vec()].concat();
    for (bytes, class, word) in [
        (&b"PACK\0\0\0\x02\xff\xff\xff\xff"[..], "terminal", "4294967295 objects"),
        (b"PACK\0\0\0\x02\0\0\0\x01\xbf\xff\xff\xff\xff\xff\xff\x0f", "terminal", "are allowed"),
        // Declares one byte, contains more.
        (b"PACK\0\0\0\x02\0\0\0\x01\x31\x78\x01\x01\x05\0\xfa\xffabcde\0\0\0\0", "transient", "broken pack"),
        (b"not a pack", "transient", "broken pack"),
    ] {
        let error = error_of(good(), Then::Flood(pack(bytes), Vec::new()), TransferLimits::DEFAULT).await;
        assert!(error.class.label() == class && error.message.contains(word), "{word}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_server_that_is_not_git_is_never_repeated() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}/r.git", listener.local_addr().unwrap().port());
    let answers = tokio::spawn(async move {
        for status in ["200 OK", "500 Oops", "404 Not TreeEntry", "403 Forbidden", "401 Unauthorized", "302 TreeEntry"]
        {
            let (mut connection, _) = listener.accept().await.unwrap();
            request(&mut connection).await;
            let page = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: close\r\n\r\nCANARY"
            );
            connection.write_all(page.as_bytes()).await.unwrap();
        }
    });
    let mirrors = tempfile::tempdir().unwrap();
    let guard = kollect_net::Guard::open();
    let sink = GitSink::new(GitConfig { guard, ..GitConfig::new(url, mirrors.path()) }).unwrap();
    while !answers.is_finished() {
        let error = held(&sink, "inv").await.unwrap_err();
        assert!(!error.to_string().contains("CANARY"), "{error}");
    }
}

/// Answers every request on a listener in one way.
fn answer_always(listener: TcpListener, answer: impl Into<Vec<u8>>) -> u16 {
    let (port, answer) = (listener.local_addr().unwrap().port(), answer.into());
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                request(&mut connection).await;
                connection.write_all(&answer).await.ok()
            });
        }
    });
    port
}

fn page(status: &str, kind: &str, content: &str) -> String {
    let length = content.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{content}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_at_a_private_address_gives_the_same_error() {
    // To the guard this address is another host.
    let bind = async || TcpListener::bind("127.0.0.2:0").await.unwrap();
    let silent = bind().await;
    let mut urls = vec![format!("http://127.0.0.2:{}/r", silent.local_addr().unwrap().port())];
    let closed = bind().await.local_addr().unwrap().port();
    urls.push(format!("http://127.0.0.2:{closed}/r"));
    for answer in [
        String::new(),
        "SSH-2.0-CANARY\r\n".to_owned(),
        page("200 OK", "text/html", "CANARY"),
        page("401 Unauthorized", "text/plain", "CANARY"),
        page("403 Forbidden", "text/plain", "CANARY"),
        page("404 CANARY", "text/plain", "CANARY"),
        page("503 Sorry", "text/plain", "CANARY"),
    ] {
        let port = answer_always(bind().await, answer);
        urls.extend(["http", "https"].map(|scheme| format!("{scheme}://127.0.0.2:{port}/r")));
    }
    let mirrors = tempfile::tempdir().unwrap();
    let mut texts = Vec::new();
    for url in urls {
        let guard = kollect_net::Guard { allow_private: true, allow_loopback: true, ..kollect_net::Guard::default() };
        let config = GitConfig { guard, stall: Duration::from_secs(1), ..GitConfig::new(url, mirrors.path()) };
        let error = held(&GitSink::new(config).unwrap(), "inv").await.unwrap_err();
        assert_eq!(error.class.label(), "transient", "{error}");
        texts.push(error.to_string());
    }
    assert!(texts.iter().all(|text| *text == texts[0] && text.contains("private address")), "{texts:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_in_gits_own_protocol_are_repeated_from_public_servers_only() {
    let words = [packet("# service=git-upload-pack\n"), b"0000".to_vec(), packet("ERR CANARY refuses")].concat();
    let words = String::from_utf8(words).unwrap();
    let answer = page("200 OK", "application/x-git-upload-pack-advertisement", &words);
    let mirrors = tempfile::tempdir().unwrap();
    for (address, repeated) in [("127.0.0.1", true), ("127.0.0.2", false)] {
        let port = answer_always(TcpListener::bind((address, 0)).await.unwrap(), answer.clone());
        let guard = kollect_net::Guard { allow_loopback: true, ..kollect_net::Guard::default() };
        let config = GitConfig { guard, ..GitConfig::new(format!("http://{address}:{port}/r"), mirrors.path()) };
        let error = held(&GitSink::new(config).unwrap(), "inv").await.unwrap_err();
        assert_eq!(error.message.contains("CANARY"), repeated, "{error}");
    }
}
