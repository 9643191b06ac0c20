//! What the demo writes on the terminal.
//!
//! Plain lines, so that a recording or a log can be read as well.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

/// A terminal or a file.
pub(super) struct Screen {
    begun: Instant,
    colour: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), colour: std::io::stdout().is_terminal() }
    }

    pub(super) fn title(&self, text: &str) {
        Self::line(&self.paint("1", text));
    }

    pub(super) fn headline(&self, text: &str) {
        Self::line("");
        self.stamped(&self.paint("1;36", &format!("» {text}")));
    }

    pub(super) fn line_with_time(&self, text: &str) {
        self.stamped(text);
    }

    /// Something that arrived in a sink.
    pub(super) fn arrival(&self, sink: &str, text: &str) {
        self.stamped(&format!("{} {text}", self.paint("32", &format!("{sink:<9}"))));
    }

    /// A line without the clock.
    pub(super) fn line(text: &str) {
        // A closed pipe is no reason to stop half-way with servers running.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    fn stamped(&self, text: &str) {
        let clock = format!("{:6.1}s", self.begun.elapsed().as_secs_f64());
        Self::line(&format!("{}  {text}", self.paint("2", &clock)));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
