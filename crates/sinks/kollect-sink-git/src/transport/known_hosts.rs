//! Parses `known_hosts`: hashed names, `[host]:port`, wildcards, negation, markers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::{Algorithm, PublicKey};
use sha1::Sha1;

/// The result of a lookup of a host's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostKeyVerdict {
    Known,
    /// Other keys are listed for the host, but not this one.
    Changed,
    /// The host is not listed.
    Unknown,
    /// The key is marked `@revoked`.
    Revoked,
}

/// The lines about one host.
pub(super) struct KnownHosts {
    keys: Vec<PublicKey>,
    revoked: Vec<PublicKey>,
}

impl KnownHosts {
    /// Reads the lines for `host` and `port`. Invalid lines are skipped.
    pub(super) fn of(text: &str, host: &str, port: u16) -> Self {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let name = if port == 22 { bare } else { format!("[{bare}]:{port}") };
        let mut found = Self { keys: Vec::new(), revoked: Vec::new() };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.split_ascii_whitespace().peekable();
            let marker = words.next_if(|word| word.starts_with('@'));
            let (Some(hosts), Some(kind), Some(key)) = (words.next(), words.next(), words.next()) else { continue };
            if !lists(hosts, &name) {
                continue;
            }
            let Ok(key) = PublicKey::from_openssh(&format!("{kind} {key}")) else { continue };
            match marker {
                None => found.keys.push(key),
                Some("@revoked") => found.revoked.push(key),
                // Host certificates are not supported, so their authorities are ignored.
                Some(_) => {}
            }
        }
        found
    }

    pub(super) fn verdict(&self, key: &PublicKey) -> HostKeyVerdict {
        let same = |known: &PublicKey| known.key_data() == key.key_data();
        if self.revoked.iter().any(same) {
            HostKeyVerdict::Revoked
        } else if self.keys.iter().any(same) {
            HostKeyVerdict::Known
        } else if self.keys.is_empty() {
            HostKeyVerdict::Unknown
        } else {
            HostKeyVerdict::Changed
        }
    }

    /// Algorithms of the listed keys; a server's key of another algorithm could not be checked.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        self.keys.iter().map(PublicKey::algorithm).collect()
    }
}

/// Whether a comma list of patterns matches `name`; a negated match wins.
fn lists(patterns: &str, name: &str) -> bool {
    let mut listed = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches_one(pattern, name) => return false,
            Some(_) => {}
            None => listed |= matches_one(pattern, name),
        }
    }
    listed
}

fn matches_one(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("|1|") {
        Some(hashed) => hash_matches(hashed, name).unwrap_or(false),
        None => glob(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()),
    }
}

fn hash_matches(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let (salt, hash) = (STANDARD.decode(salt).ok()?, STANDARD.decode(hash).ok()?);
    let mac = Hmac::<Sha1>::new_from_slice(&salt).ok()?.chain_update(name.as_bytes());
    Some(mac.verify_slice(&hash).is_ok())
}

/// `*` and `?`, without recursion.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|&c| c == b'?' || c == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn verdict(text: &str, host: &str, port: u16) -> HostKeyVerdict {
        KnownHosts::of(text, host, port).verdict(&PublicKey::from_openssh(ONE).unwrap())
    }

    #[test]
    fn plain_lists_ports_and_wildcards_are_understood() {
        let text =
            format!("# hosts\nGit.Example,10.0.0.1 {ONE} comment\n[git.example]:2222 {ONE}\n*.corp,!bad.corp {ONE}\n");
        for (host, port, expected) in [
            ("git.example", 22, HostKeyVerdict::Known),
            ("10.0.0.1", 22, HostKeyVerdict::Known),
            ("git.example", 2222, HostKeyVerdict::Known),
            ("git.example", 2223, HostKeyVerdict::Unknown),
            ("a.corp", 22, HostKeyVerdict::Known),
            ("bad.corp", 22, HostKeyVerdict::Unknown),
            ("other.example", 22, HostKeyVerdict::Unknown),
        ] {
            assert_eq!(verdict(&text, host, port), expected, "{host}:{port}");
        }
    }

    #[test]
    fn a_hashed_name_is_recognised() {
        let mac = Hmac::<Sha1>::new_from_slice(b"salt").unwrap().chain_update(b"[git.example]:2222");
        let hash = STANDARD.encode(mac.finalize().into_bytes());
        let text = format!("|1|{}|{hash} {ONE}", STANDARD.encode("salt"));
        assert_eq!(verdict(&text, "git.example", 2222), HostKeyVerdict::Known);
        assert_eq!(verdict(&text, "git.example", 22), HostKeyVerdict::Unknown);
    }

    #[test]
    fn a_changed_or_revoked_key_is_not_merely_unknown() {
        assert_eq!(verdict(&format!("git.example {TWO}"), "git.example", 22), HostKeyVerdict::Changed);
        assert_eq!(
            verdict(&format!("git.example {ONE}\n@revoked * {ONE}"), "git.example", 22),
            HostKeyVerdict::Revoked
        );
        assert_eq!(verdict(&format!("@cert-authority git.example {ONE}"), "git.example", 22), HostKeyVerdict::Unknown);
    }

    #[test]
    fn invalid_lines_are_ignored() {
        assert_eq!(
            verdict("git.example\ngit.example ssh-ed25519 !!!\n|1|x git", "git.example", 22),
            HostKeyVerdict::Unknown
        );
    }
}
