//! What a terminal is to a command: colours, width, lines for people, a bar while it takes long.
//!
//! Separate because it is the only module that knows whether somebody is watching. Data goes to standard output and
//! nothing else does; everything said to people goes to standard error.

pub mod progress;
pub mod table;

use clap::ValueEnum;
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

/// When to colour what people read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    on: bool,
}

impl Style {
    /// No colour at all.
    pub const PLAIN: Self = Self { on: false };

    /// Colours for a stream that is a terminal or not.
    pub fn of(choice: ColorChoice, terminal: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let on = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        Self { on }
    }

    /// For headings.
    pub fn bold(self, text: impl Display) -> String {
        self.wrap("1", text)
    }
    /// For trouble.
    pub fn red(self, text: impl Display) -> String {
        self.wrap("31", text)
    }
    /// For what went well.
    pub fn green(self, text: impl Display) -> String {
        self.wrap("32", text)
    }
    /// For what deserves a look.
    pub fn yellow(self, text: impl Display) -> String {
        self.wrap("33", text)
    }

    fn wrap(self, code: &str, text: impl Display) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

/// Standard error, for people.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Its colours.
    pub style: Style,
}

impl Screen {
    /// Standard error with these colours.
    pub fn new(choice: ColorChoice) -> Self {
        Self { style: Style::of(choice, is_watched()) }
    }

    /// Says one line. Nobody can be told that it could not be said.
    pub fn say(self, line: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// Says why the command fails.
    pub fn error(self, message: impl Display) {
        self.say(format_args!("{} {message}", self.style.red("error:")));
    }
}

/// Whether somebody watches standard error.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Columns of the terminal at standard output; `None` when it is no terminal.
pub fn width() -> Option<usize> {
    let told = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let asked = || {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        (size.ws_col > 0).then(|| usize::from(size.ws_col))
    };
    if io::stdout().is_terminal() { told.or_else(asked).or(Some(80)) } else { None }
}

/// Whether the reader of our output has gone. That is its right, and no error.
pub fn has_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// An error and what is behind it, each once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

/// Text of others as one line that a terminal cannot be tricked with.
pub fn plain(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => clean.push_str("\\n"),
            '\t' => clean.push_str("\\t"),
            '\r' => clean.push_str("\\r"),
            c if c.is_control() || is_directional(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
    }
    clean
}

/// Marks that change the direction of what is shown.
fn is_directional(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_steer_a_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
        assert_eq!(plain("größe 日本"), "größe 日本");
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        assert_eq!(Style::of(ColorChoice::Never, true), Style::PLAIN);
        assert_eq!(Style::of(ColorChoice::Always, false).red("x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(Style::of(ColorChoice::Auto, false), Style::PLAIN);
    }

    #[test]
    fn what_is_behind_an_error_is_said_once() {
        let inner = io::Error::other("no room");
        let outer = anyhow::Error::new(inner).context("writing: no room").context("saving");
        assert_eq!(chain(outer.as_ref()), "saving: writing: no room");
    }
}
