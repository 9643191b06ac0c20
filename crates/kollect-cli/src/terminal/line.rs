//! One line for people. Text enters it cleaned, so that colours come from the program alone.

use super::clean::plain;
use clap::ValueEnum;
use std::fmt::{self, Display};

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

    /// Whether there are colours.
    pub fn has_colours(self) -> bool {
        self.on
    }

    /// An empty line in these colours.
    pub fn line(self) -> Line {
        Line { style: self, text: String::new() }
    }
}

/// One line for people.
#[derive(Clone, Debug)]
pub struct Line {
    style: Style,
    text: String,
}

impl Line {
    /// Adds text.
    pub fn text(mut self, text: impl Display) -> Self {
        self.text.push_str(&plain(&text.to_string()));
        self
    }
    /// Adds a heading.
    pub fn bold(self, text: impl Display) -> Self {
        self.paint("1", text)
    }
    /// Adds what failed or is removed.
    pub fn red(self, text: impl Display) -> Self {
        self.paint("31", text)
    }
    /// Adds what succeeded or is added.
    pub fn green(self, text: impl Display) -> Self {
        self.paint("32", text)
    }
    /// Adds what needs attention.
    pub fn yellow(self, text: impl Display) -> Self {
        self.paint("33", text)
    }

    fn paint(mut self, code: &str, text: impl Display) -> Self {
        if !self.style.on {
            return self.text(text);
        }
        self.text.extend(["\u{1b}[", code, "m"]);
        let mut line = self.text(text);
        line.text.push_str("\u{1b}[0m");
        line
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        assert_eq!(Style::of(ColorChoice::Never, true), Style::PLAIN);
        assert_eq!(Style::of(ColorChoice::Always, false).line().red("x").to_string(), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(Style::of(ColorChoice::Auto, false), Style::PLAIN);
    }

    #[test]
    fn text_brings_no_colour_of_its_own() {
        let line = Style::of(ColorChoice::Always, true).line().text("a\u{1b}[31mb ").green("c\u{1b}[0m\nd");
        assert_eq!(line.to_string(), "a\\u{1b}[31mb \u{1b}[32mc\\u{1b}[0m\\nd\u{1b}[0m");
    }
}
