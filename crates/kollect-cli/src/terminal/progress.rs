//! A bar on standard error while something takes long, and only where that is a terminal.
//!
//! Its text is fixed: it must not show values of objects.

use super::is_watched;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// Nothing is shown for work that is quick.
const QUIET: Duration = Duration::from_millis(300);

/// How far something is.
#[derive(Debug)]
pub struct ProgressLine {
    bar: ProgressBar,
    since: tokio::time::Instant,
}

impl ProgressLine {
    /// A bar with a name, from 0 to `total`; 0 = unknown.
    pub fn new(what: &str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let template = if total == 0 { "{msg} {spinner} {pos}" } else { "{msg} [{bar:30}] {percent}%" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Self { bar, since: tokio::time::Instant::now() }
    }

    /// It is this far.
    pub fn set(&self, position: u64) {
        if is_watched() && self.bar.is_hidden() && self.since.elapsed() > QUIET {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(position);
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
