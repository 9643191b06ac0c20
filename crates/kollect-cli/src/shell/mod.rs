//! How the program sits in a shell: its name, exit status, pipes, completion scripts and manual pages.
//!
//! Separate because none of it concerns Kubernetes. It must not know what a command does.

mod completion;
mod manual;
mod name;

pub use completion::{CompletionArgs, Shell, answer, completion};
pub use manual::{ManArgs, ManError, manual};
pub use name::named;

use std::io::{self, BufWriter, Write};

/// Exit status of a command that did what it was asked.
pub const OK: u8 = 0;
/// Exit status of a command that found something to tell.
pub const FOUND: u8 = 1;
/// Exit status of a command whose input is not sound.
pub const INVALID: u8 = 2;

/// Writes to standard output. Nobody reading on is not an error: `kollect … | head` ends quietly.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes to standard error, which is for people; if it is closed, nobody wants to know.
pub fn tell(text: &str) {
    let mut err = io::stderr().lock();
    let _closed = err.write_all(text.as_bytes());
}
