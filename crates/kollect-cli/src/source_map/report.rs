//! Renders one finding for people: severity, title, place, the line with a mark under the culprit, the remedy.

use super::SourceText;
use crate::terminal::plain;
use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet};
use std::ops::Range;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Must be fixed.
    Error,
    /// Works, and should be checked.
    Warning,
}

/// What to print about one finding.
#[derive(Clone, Copy, Debug)]
pub struct FindingReport<'a> {
    /// How bad.
    pub severity: Severity,
    /// Identifier of the rule; empty when there is none.
    pub rule: &'a str,
    /// What is wrong.
    pub title: &'a str,
    /// Which object, for texts with many of them; empty when the title names it.
    pub note: &'a str,
    /// What to do; empty when the title contains it.
    pub help: &'a str,
}

impl FindingReport<'_> {
    /// The finding with the line that it is about.
    pub fn render(&self, source: &SourceText, span: Range<usize>, colours: bool) -> String {
        let (window, first_line) = source.line_around(span.start);
        let text = &source.text[window.clone()];
        let end = span.end.clamp(span.start, window.end);
        let marked = span.start - window.start..end - window.start;
        let snippet = Snippet::source(text)
            .line_start(first_line)
            .path(plain(&source.name))
            .annotation(AnnotationKind::Primary.span(marked));
        self.print(Some(snippet.into()), colours)
    }

    /// The finding without a place.
    pub fn render_alone(&self, colours: bool) -> String {
        self.print(None, colours)
    }

    fn print(&self, place: Option<Element<'_>>, colours: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        // The renderer cleans the quoted lines and nothing else.
        let mut title = level.primary_title(plain(self.title));
        if !self.rule.is_empty() {
            title = title.id(self.rule);
        }
        let mut group = Group::with_title(title).elements(place);
        if !self.note.is_empty() {
            group = group.element(Level::NOTE.message(plain(self.note)));
        }
        if !self.help.is_empty() {
            group = group.element(Level::HELP.message(plain(self.help)));
        }
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

impl SourceText {
    /// The line that holds a byte, without its end, and its number.
    fn line_around(&self, byte: usize) -> (Range<usize>, usize) {
        let byte = byte.min(self.text.len());
        let start = self.text[..byte].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[byte..].find('\n').map_or(self.text.len(), |at| byte + at);
        (start..end, self.position(byte).line)
    }
}
