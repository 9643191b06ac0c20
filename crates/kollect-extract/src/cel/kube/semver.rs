//! Versions as of semver.org, with the limits and the lenient form of Kubernetes' `semver` library.

use semver::Version;
use std::cmp::Ordering;
use std::fmt;

const MAX_LENGTH: usize = 256;

/// Versions that differ only in build metadata are equal.
#[derive(Clone, Debug)]
pub(in crate::cel) struct Semver(Version);

impl Semver {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let version = Version::parse(text).ok()?;
        // Kubernetes refuses numbers of a pre-release that exceed 64 bits, the crate does not.
        let fits = |part: &str| !part.bytes().all(|b| b.is_ascii_digit()) || part.parse::<u64>().is_ok();
        (version.pre.is_empty() || version.pre.split('.').all(fits)).then_some(Self(version))
    }

    /// Parses leniently: with a leading `v`, without minor or patch number, with leading zeros.
    pub(super) fn normalized(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(['-', '+']).unwrap_or(text.len());
        let (core, rest) = text.split_at(end);
        let mut parts: Vec<&str> = core
            .split('.')
            .map(|part| match part.trim_start_matches('0') {
                "" if !part.is_empty() => "0",
                trimmed => trimmed,
            })
            .collect();
        while parts.len() < 3 {
            parts.push("0");
        }
        Self::parse(&format!("{}{rest}", parts.join(".")))
    }

    /// Major, minor, patch.
    pub(super) fn numbers(&self) -> [u64; 3] {
        [self.0.major, self.0.minor, self.0.patch]
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }
}

impl PartialEq for Semver {
    fn eq(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Equal
    }
}

impl fmt::Display for Semver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
