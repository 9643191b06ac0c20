//! Commands on a terminal of their own, as people run them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What was seen on the terminal, and how the command ended.
pub(crate) struct Seen {
    pub(crate) text: String,
    pub(crate) status: i32,
}

/// Runs a line of Bash in a folder. `input` is typed; `env` is added to what the folder's home needs.
pub(crate) fn on_a_terminal(dir: &Path, line: &str, env: &[(&str, &str)], input: &str) -> Seen {
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", line, "/dev/null"])
        .current_dir(dir)
        .env_clear()
        .envs([("TERM", "xterm"), ("SHELL", "/bin/bash"), ("PATH", "/usr/bin:/bin")])
        .env("HOME", dir)
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script (of util-linux) starts");
    // A command that has ended does not read.
    let _ = child.stdin.take().expect("it is a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).expect("a terminal shows UTF-8").replace("\r\n", "\n");
    Seen { text, status: output.status.code().expect("no signal ended it") }
}
