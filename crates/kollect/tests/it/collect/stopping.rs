//! A cluster that does not respond: the timeout ends the command, and so does an interrupt.

use super::{CommandFolder, tree};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

/// An API server that accepts connections and sends nothing. The receiver gets one message per connection.
fn silent(folder: &CommandFolder) -> Receiver<()> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    folder.write(
        "silent.kubeconfig",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: silent\n\
             clusters: [{{name: silent, cluster: {{server: \"{server}\"}}}}]\nusers: [{{name: silent, user: {{}}}}]\n\
             contexts: [{{name: silent, context: {{cluster: silent, user: silent}}}}]\n"
        ),
    );
    let (accepted, connections) = channel();
    std::thread::spawn(move || {
        let mut open: Vec<TcpStream> = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            open.push(stream);
            if accepted.send(()).is_err() {
                return;
            }
        }
    });
    connections
}

/// A directory that holds the last good state.
fn with_good_state() -> CommandFolder {
    let folder = CommandFolder::with_maps();
    folder.maps(&[("shop", "one", "1")]);
    folder.run(&["--from", "manifests", "--output", "out", "--cluster", "silent"]).ends(0);
    folder
}

const FROM_SILENT: [&str; 6] = ["--kubeconfig", "silent.kubeconfig", "--output", "out", "--cluster", "silent"];

#[test]
fn a_cluster_that_sends_nothing_is_given_up_after_the_timeout() {
    let folder = with_good_state();
    let before = tree(&folder.path("out"));
    let _connections = silent(&folder);
    let started = Instant::now();
    let ran = folder.run(&[&FROM_SILENT[..], &["--timeout", "1s"]].concat()).ends(2);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    ran.reports("silent: failed:");
    assert_eq!(tree(&folder.path("out")), before, "the last good state stays");
}

#[test]
fn an_interrupted_run_ends_at_once_and_leaves_no_half_written_file() {
    let folder = with_good_state();
    let before = tree(&folder.path("out"));
    let connections = silent(&folder);
    let mut command = folder.command(&[&FROM_SILENT[..], &["--timeout", "10m"]].concat());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    connections.recv_timeout(SOON).expect("it asks the cluster");
    let interrupted = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let status = child.wait().unwrap();
    assert!(interrupted.elapsed() < SOON, "{:?}", interrupted.elapsed());
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("stopped before everything was written; run it again"), "{stderr}");
    assert_eq!(tree(&folder.path("out")), before);
}
