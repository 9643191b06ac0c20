//! The commands that run to an end, as users run them: the binary, its standard streams and its exit status.

mod cluster;
mod diff;
mod eval;
mod hostile;
mod manners;
mod shell;
mod validate;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a run left behind.
struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
        Self {
            status: output.status.code().expect("no signal ended it"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// The program, without anything of the machine it runs on.
fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kollect"));
    command.current_dir(dir).env_clear().env("HOME", dir).env("PATH", "/usr/bin:/bin");
    command
}

fn kollect(dir: &Path, arguments: &[&str]) -> Ran {
    program(dir).args(arguments).stdin(Stdio::null()).output().expect("the program starts").into()
}

fn kollect_reading(dir: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut child = program(dir)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("standard input is a pipe").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends").into()
}

/// The repository that the tests are in.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().expect("it is in a directory")).expect("the directory can be made");
    std::fs::write(&path, text).expect("the file can be written");
    path
}
