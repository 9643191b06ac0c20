//! Patterns of files to leave out, from `--exclude` and `.kollectignore`, in the syntax of `.gitignore`.

use super::error::ManifestError;
use kollect_model::{Glob, matches_sequence};

/// The file of patterns in a folder that is read.
pub(super) const IGNORE_FILE: &str = ".kollectignore";

/// The patterns of one folder; the last one that fits decides.
#[derive(Clone, Debug, Default)]
pub(super) struct Exclude(Vec<Pattern>);

#[derive(Clone, Debug)]
struct Pattern {
    segments: Vec<Segments>,
    /// Only folders.
    folders: bool,
    /// What fits is read all the same.
    keep: bool,
}

/// A part of a pattern between slashes.
#[derive(Clone, Debug)]
enum Segments {
    /// `**`: any number of segments.
    Any,
    /// One segment.
    One(Glob),
}

impl Exclude {
    /// Patterns of the command line.
    pub(super) fn of(patterns: &[String]) -> Result<Self, ManifestError> {
        let read = |text: &String| {
            let empty = || ManifestError::Pattern { place: "--exclude".to_owned(), pattern: text.clone() };
            Pattern::read(text).ok_or_else(empty)
        };
        patterns.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// With the lines of an ignore file before them.
    pub(super) fn below(&self, lines: &str) -> Self {
        let lines = lines.lines().map(str::trim_end).filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(Pattern::read).chain(self.0.iter().cloned()).collect())
    }

    /// Whether a path below the folder, with `/` between its segments, is left out.
    pub(super) fn leaves_out(&self, path: &str, is_folder: bool) -> bool {
        let path: Vec<&str> = path.split('/').collect();
        let fits = |pattern: &&Pattern| (is_folder || !pattern.folders) && pattern.matches(&path);
        self.0.iter().rev().find(fits).is_some_and(|pattern| !pattern.keep)
    }
}

impl Pattern {
    fn read(text: &str) -> Option<Self> {
        let (keep, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let (folders, text) = text.strip_suffix('/').map_or((false, text), |rest| (true, rest));
        let anchored = text.contains('/');
        let text = text.strip_prefix("./").or_else(|| text.strip_prefix('/')).unwrap_or(text);
        if text.is_empty() {
            return None;
        }
        let any = (!anchored).then_some("**");
        let segment = |text| if text == "**" { Segments::Any } else { Segments::One(Glob::new(text)) };
        let segments = any.into_iter().chain(text.split('/')).map(segment).collect();
        Some(Self { segments, folders, keep })
    }

    fn matches(&self, path: &[&str]) -> bool {
        let fits = |segment: &Segments, text: &&str| matches!(segment, Segments::One(glob) if glob.matches(text));
        matches_sequence(&self.segments, path, |segment| matches!(segment, Segments::Any), fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_a_gitignore_file() {
        for (pattern, path, is_folder, wanted) in [
            ("*.tpl.yaml", "a/b.tpl.yaml", false, true),
            ("*.tpl.yaml", "a/b.yaml", false, false),
            ("templates", "charts/x/templates", true, true),
            ("templates/", "charts/x/templates", true, true),
            ("templates/", "templates", false, false),
            ("charts/*/templates", "charts/x/templates", true, true),
            ("charts/*/templates", "a/charts/x/templates", true, false),
            ("**/templates/*.yaml", "a/b/templates/x.yaml", false, true),
            ("/a.yaml", "a.yaml", false, true),
            ("/a.yaml", "b/a.yaml", false, false),
            ("./b/a.yaml", "b/a.yaml", false, true),
            ("a/**", "a/b/c.yaml", false, true),
            ("?.yaml", "ü.yaml", false, true),
        ] {
            let exclude = Exclude::of(&[pattern.to_owned()]).unwrap();
            assert_eq!(exclude.leaves_out(path, is_folder), wanted, "{pattern} {path}");
        }
        let lines = Exclude::default().below("# note\n\n*.yaml  \n!keep.yaml\n");
        assert!(lines.leaves_out("x/a.yaml", false) && !lines.leaves_out("x/keep.yaml", false));
        assert!(Exclude::of(&[String::new()]).is_err());
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let stars = "*a".repeat(2000);
        let exclude = Exclude::of(&[stars]).unwrap();
        assert!(!exclude.leaves_out(&"a".repeat(1000), false));
    }
}
