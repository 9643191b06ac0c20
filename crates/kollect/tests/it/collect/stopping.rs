//! A cluster that does not answer: patience has an end, and so has a command that somebody stops.

use super::{Place, tree};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

/// An API server that takes connections and says nothing. The receiver hears of each.
fn silent(place: &Place) -> Receiver<()> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    place.write(
        "silent.kubeconfig",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: silent\n\
             clusters: [{{name: silent, cluster: {{server: \"{server}\"}}}}]\nusers: [{{name: silent, user: {{}}}}]\n\
             contexts: [{{name: silent, context: {{cluster: silent, user: silent}}}}]\n"
        ),
    );
    let (heard, connections) = channel();
    std::thread::spawn(move || {
        let mut open: Vec<TcpStream> = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            open.push(stream);
            if heard.send(()).is_err() {
                return;
            }
        }
    });
    connections
}

/// A directory that holds the last good state.
fn with_good_state() -> Place {
    let place = Place::with_maps();
    place.maps(&[("shop", "one", "1")]);
    place.run(&["--from", "manifests", "--output", "out", "--cluster", "silent"]).ends(0);
    place
}

const FROM_SILENT: [&str; 6] = ["--kubeconfig", "silent.kubeconfig", "--output", "out", "--cluster", "silent"];

#[test]
fn a_cluster_that_says_nothing_is_given_up_after_the_timeout() {
    let place = with_good_state();
    let before = tree(&place.path("out"));
    let _connections = silent(&place);
    let started = Instant::now();
    let ran = place.run(&[&FROM_SILENT[..], &["--timeout", "1s"]].concat()).ends(2);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    ran.says("silent: failed:");
    assert_eq!(tree(&place.path("out")), before, "the last good state stays");
}

#[test]
fn an_interrupted_run_ends_at_once_and_leaves_no_half_written_file() {
    let place = with_good_state();
    let before = tree(&place.path("out"));
    let connections = silent(&place);
    let mut command = place.command(&[&FROM_SILENT[..], &["--timeout", "10m"]].concat());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    connections.recv_timeout(SOON).expect("it asks the cluster");
    let interrupted = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    assert!(interrupted.elapsed() < SOON, "{:?}", interrupted.elapsed());
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("stopped before everything was written; run it again"), "{said}");
    assert_eq!(tree(&place.path("out")), before);
}
