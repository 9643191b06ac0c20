//! The only place that writes to standard output and standard error.
//!
//! Data goes to standard output and nothing else does; messages for people go to standard error, cleaned.

use super::clean::block;
use super::error::without_numbers;
use super::escape::Escaping;
use super::line::{ColorChoice, Line, Style};
use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal as _, Write};

/// Standard error, for people. A closed standard error is no reason to fail.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Its colours.
    pub style: Style,
    /// Only errors are shown.
    quiet: bool,
}

impl Screen {
    /// Standard error with these colours.
    pub fn new(choice: ColorChoice) -> Self {
        Self { style: Style::of(choice, is_watched()), quiet: false }
    }

    /// The same, showing only what failed.
    pub fn quiet(self, quiet: bool) -> Self {
        Self { quiet, ..self }
    }

    /// An empty line in its colours.
    pub fn line(self) -> Line {
        self.style.line()
    }

    /// Shows a line, unless only failures are wanted.
    pub fn info(self, line: &Line) {
        if !self.quiet {
            self.alarm(line);
        }
    }

    /// Shows a line about a failure.
    pub fn alarm(self, line: &Line) {
        write_error(&format!("{}\n", without_numbers(&line.to_string())));
    }

    /// Shows why the command fails. Further lines of the message are indented, so that none resembles a message of its own.
    pub fn error(self, message: impl Display) {
        self.labelled(self.line().red("error:"), message);
    }

    /// Shows what deserves attention.
    pub fn warning(self, message: impl Display) {
        if !self.quiet {
            self.labelled(self.line().yellow("warning:"), message);
        }
    }

    fn labelled(self, label: Line, message: impl Display) {
        let message = message.to_string();
        let mut lines = message.trim_end().lines();
        self.alarm(&label.text(" ").text(lines.next().unwrap_or_default()));
        for line in lines {
            self.alarm(&self.line().text("  ").text(line));
        }
    }

    /// Shows lines that were laid out by a renderer, whose inputs were cleaned.
    pub fn block(self, text: &str) {
        write_error(&format!("{}\n", block(text, self.style.has_colours())));
    }

    /// Shows lines whose breaks are meant.
    pub fn lines(self, text: &str) {
        write_error(&format!("{}\n", block(text, false)));
    }

    /// Shows a question, and leaves the cursor behind it.
    pub fn question(self, text: impl Display) {
        write_error(&self.line().text(text).to_string());
    }
}

fn write_error(text: &str) {
    let mut err = io::stderr().lock();
    let _closed = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// Lines for people on standard output.
pub struct Paper<'a> {
    out: &'a mut dyn Write,
    /// Its colours.
    pub style: Style,
}

impl<'a> Paper<'a> {
    /// Lines go to `out`.
    pub fn new(out: &'a mut dyn Write, style: Style) -> Self {
        Self { out, style }
    }

    /// An empty line in its colours.
    pub fn line(&self) -> Line {
        self.style.line()
    }

    /// Writes a line.
    pub fn put(&mut self, line: &Line) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }
}

/// Writes data to standard output. A reader that has gone is no error: `kollect … | head` ends quietly.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            // What is left in the buffer cannot be written.
            drop(out.into_parts());
            Ok(())
        }
        result => result,
    }
}

/// Writes JSON, or YAML, to standard output. A terminal gets escapes for what it would obey.
pub fn print_json(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    print(|out| if is_shown() { write(&mut Escaping::new(out)) } else { write(out) })
}

/// Writes lines for people to standard output.
pub fn print_lines(choice: ColorChoice, write: impl FnOnce(&mut Paper<'_>) -> io::Result<()>) -> io::Result<()> {
    let style = Style::of(choice, is_shown());
    print(|out| write(&mut Paper::new(out, style)))
}

/// Whether standard error is a terminal.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Whether standard output is a terminal.
pub fn is_shown() -> bool {
    io::stdout().is_terminal()
}

/// Columns of the terminal at standard output; `None` when it is no terminal.
pub fn width() -> Option<usize> {
    let set = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|columns| *columns > 0);
    let measured = || {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        (size.ws_col > 0).then(|| usize::from(size.ws_col))
    };
    if is_shown() { set.or_else(measured).or(Some(80)) } else { None }
}

/// Standard error for log lines: each is cleaned like every other line.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The logger writes one event at a time, with its line end.
        let text = String::from_utf8_lossy(bytes);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        write_error(&format!("{}{end}", super::plain(&without_numbers(line))));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
