//! Settings of a Git sink, and their check: URL, branch and credentials must fit together.

use crate::error::GitError;
use crate::remote_url::{RemoteUrl, Scheme};
use crate::transport::TransferLimits;
use kollect_net::{Guard, SecretString, TlsSpec};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::time::Duration;

/// What happens when the branch moved since it was last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushPolicy {
    /// Build the commits again on the new tip and push fast-forward only.
    #[default]
    Commit,
    /// Build again as well, and push with force. Commits of others that arrive meanwhile are kept: the push names the
    /// commit that it replaces, and the server refuses it if the branch has moved.
    ForcePush,
}

/// Credentials of a Git server.
#[derive(Clone, Debug, Default)]
pub enum GitCredentials {
    /// Anonymous.
    #[default]
    None,
    /// User and token or password, for `http` and `https`.
    Basic {
        /// Without one: `x-access-token` with a token, else `git`.
        user: Option<String>,
        /// Preferred over the password.
        token: Option<SecretString>,
        /// Used when there is no token.
        password: Option<SecretString>,
    },
    /// Private key, for `ssh`.
    Ssh {
        /// Without one: the user in the URL, else `git`.
        user: Option<String>,
        /// OpenSSH or PEM private key without a passphrase.
        private_key: SecretString,
        /// Content of a `known_hosts` file. Needed unless TLS verification is switched off.
        known_hosts: Option<String>,
    },
}

/// Settings of a Git sink.
#[derive(Clone, Debug)]
pub struct GitConfig {
    /// `https://`, `http://`, `ssh://` or `git@host:path`; user info is not used as a credential.
    pub url: String,
    /// Branch; otherwise the URL's fragment `#branch=<name>`, otherwise `main`.
    pub branch: Option<String>,
    /// What happens when the branch moved.
    pub push_policy: PushPolicy,
    /// Credentials of a Git server.
    pub auth: GitCredentials,
    /// Accepted for compatibility: credentials always travel in an `Authorization` header, never in the URL.
    pub force_basic_auth: bool,
    /// Trust for `https`; `insecure_skip_verify` also switches off the host key check of `ssh`.
    pub tls: TlsSpec,
    /// History to fetch; one commit is enough.
    pub depth: u32,
    /// Which addresses may be dialled.
    pub guard: Guard,
    /// Directory of the mirrors, owned by this user and closed to others.
    pub mirror_root: PathBuf,
    /// Cluster name, for this sink's log lines.
    pub cluster: String,
    /// Longest time without a byte on a connection.
    pub stall: Duration,
    /// How much a server may send.
    pub limits: TransferLimits,
}

impl GitConfig {
    /// A configuration with defaults: anonymous, branch from the URL or `main`, public CAs, depth 1.
    pub fn new(url: impl Into<String>, mirror_root: impl Into<PathBuf>) -> Self {
        Self {
            url: url.into(),
            branch: None,
            push_policy: PushPolicy::default(),
            auth: GitCredentials::None,
            force_basic_auth: false,
            tls: TlsSpec::default(),
            depth: 1,
            guard: Guard::default(),
            mirror_root: mirror_root.into(),
            cluster: String::new(),
            stall: Duration::from_mins(1),
            limits: TransferLimits::DEFAULT,
        }
    }
}

/// The remote branch and the credentials for it, checked.
#[derive(Clone, Debug)]
pub(crate) struct RemoteAccess {
    pub(crate) url: RemoteUrl,
    pub(crate) branch: String,
    pub(crate) auth: CheckedCredentials,
    /// Distinguishes credentials without disclosing them.
    pub(crate) auth_digest: String,
}

/// Credentials that fit the URL.
#[derive(Clone, Debug)]
pub(crate) enum CheckedCredentials {
    None,
    Basic { user: String, secret: SecretString },
    Ssh { user: String, private_key: SecretString, known_hosts: Option<String> },
}

impl CheckedCredentials {
    /// Texts that must not appear in a message.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        match self {
            Self::None => Vec::new(),
            Self::Basic { secret, .. } => vec![secret.expose()],
            Self::Ssh { private_key, .. } => vec![private_key.expose()],
        }
    }
}

impl RemoteAccess {
    pub(crate) fn check(config: &GitConfig) -> Result<Self, GitError> {
        let bad = |why: &str| GitError::Config(why.to_owned());
        let url = RemoteUrl::parse(&config.url).map_err(bad)?;
        config
            .guard
            .check_host(&url.host)
            .map_err(|why| GitError::Config(format!("connections to {} are not allowed: {why}", url.host)))?;
        let branch = config.branch.clone().or_else(|| url.branch.clone()).unwrap_or_else(|| "main".to_owned());
        if !is_branch(&branch) {
            return Err(bad(
                "the branch name may hold letters, digits, `.`, `_`, `/` and `-`, starts with a letter or digit, and is given without refs/",
            ));
        }
        let auth = credentials(config, &url)?;
        let auth_digest = digest_of(&auth);
        Ok(Self { url, branch, auth, auth_digest })
    }

    /// The full name of the branch.
    pub(crate) fn reference(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }
}

fn credentials(config: &GitConfig, url: &RemoteUrl) -> Result<CheckedCredentials, GitError> {
    let bad = |why: &str| Err(GitError::Config(why.to_owned()));
    match (&config.auth, url.scheme) {
        (GitCredentials::None, Scheme::Ssh) => bad("an ssh URL needs a private key (Secret key `ssh-privatekey`)"),
        (GitCredentials::None, _) => Ok(CheckedCredentials::None),
        (GitCredentials::Basic { .. }, Scheme::Ssh) => bad("a token cannot be used with an ssh URL; use a private key"),
        (GitCredentials::Basic { user, token, password }, _) => {
            let token = token.clone().filter(|token| !token.is_empty());
            let fallback = if token.is_some() { "x-access-token" } else { "git" };
            let user = user.clone().filter(|user| !user.is_empty()).unwrap_or_else(|| fallback.to_owned());
            match token.or_else(|| password.clone().filter(|password| !password.is_empty())) {
                Some(secret) => Ok(CheckedCredentials::Basic { user, secret: trimmed(&secret) }),
                None => bad("the Secret holds neither a `token` nor a `password`"),
            }
        }
        (GitCredentials::Ssh { .. }, Scheme::Http | Scheme::Https) => {
            bad("a private key cannot be used with an http URL; use a token, or an ssh URL")
        }
        (GitCredentials::Ssh { user, private_key, known_hosts }, Scheme::Ssh) => {
            let user = user.clone().filter(|user| !user.is_empty()).or_else(|| url.user.clone());
            let known_hosts = known_hosts.clone().filter(|_| !config.tls.insecure_skip_verify);
            if known_hosts.is_none() && !config.tls.insecure_skip_verify {
                return bad("the Secret has no `known_hosts`; add the server's host key (ssh-keyscan) to it");
            }
            Ok(CheckedCredentials::Ssh {
                user: user.unwrap_or_else(|| "git".to_owned()),
                private_key: private_key.clone(),
                known_hosts,
            })
        }
    }
}

/// Removes trailing newlines, which Secrets made from files have and headers must not.
fn trimmed(secret: &SecretString) -> SecretString {
    SecretString::new(secret.expose().trim_end_matches(['\r', '\n']))
}

fn digest_of(auth: &CheckedCredentials) -> String {
    let mut hash = Sha256::new();
    match auth {
        CheckedCredentials::None => {}
        CheckedCredentials::Basic { user, secret } => {
            for part in ["basic", user, secret.expose()] {
                hash.update(part.as_bytes());
                hash.update([0]);
            }
        }
        CheckedCredentials::Ssh { user, private_key, known_hosts } => {
            for part in ["ssh", user, private_key.expose(), known_hosts.as_deref().unwrap_or("")] {
                hash.update(part.as_bytes());
                hash.update([0]);
            }
        }
    }
    kollect_model::hex(&hash.finalize()[..8])
}

fn is_branch(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'/' | b'-');
    name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(allowed)
        && !name.contains("..")
        && !name.contains("//")
        && !name.contains("/.")
        && !name.ends_with(['.', '/'])
        && !name.split('/').any(|part| part.strip_suffix(".lock").is_some())
        && !name.starts_with("refs/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: Option<&str>, token: Option<&str>, password: Option<&str>) -> GitCredentials {
        GitCredentials::Basic {
            user: user.map(Into::into),
            token: token.map(Into::into),
            password: password.map(Into::into),
        }
    }

    fn user_of(auth: GitCredentials) -> String {
        let config = GitConfig { auth, ..GitConfig::new("https://git.example/r", "/tmp/m") };
        match RemoteAccess::check(&config).unwrap().auth {
            CheckedCredentials::Basic { user, .. } => user,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_basic_user_is_the_given_one_then_the_tokens_then_git() {
        assert_eq!(user_of(basic(Some("bot"), Some("t"), None)), "bot");
        assert_eq!(user_of(basic(None, Some("t"), Some("p"))), "x-access-token");
        assert_eq!(user_of(basic(Some(""), None, Some("p"))), "git");
    }

    #[test]
    fn credentials_that_do_not_fit_the_address_are_refused() {
        let ssh = GitCredentials::Ssh { user: None, private_key: "k".into(), known_hosts: None };
        for (url, auth, word) in [
            ("https://git.example/r", ssh.clone(), "private key"),
            ("git@git.example:r", basic(None, Some("t"), None), "token"),
            ("git@git.example:r", ssh, "known_hosts"),
            ("git@git.example:r", GitCredentials::None, "private key"),
            ("https://git.example/r", basic(Some("u"), None, None), "token"),
            ("https://127.0.0.1/r", GitCredentials::None, "not allowed"),
        ] {
            let error = RemoteAccess::check(&GitConfig { auth, ..GitConfig::new(url, "/tmp/m") }).unwrap_err();
            assert!(error.to_string().contains(word), "{url}: {error}");
        }
    }

    #[test]
    fn the_branch_comes_from_the_setting_then_the_fragment_then_main() {
        let branch = |url: &str, branch: Option<&str>| {
            let config = GitConfig { branch: branch.map(Into::into), ..GitConfig::new(url, "/tmp/m") };
            RemoteAccess::check(&config).map(|target| target.branch)
        };
        assert_eq!(branch("https://h.example/r#branch=dev", Some("rel/1.0")).unwrap(), "rel/1.0");
        assert_eq!(branch("https://h.example/r#branch=dev", None).unwrap(), "dev");
        assert_eq!(branch("https://h.example/r", None).unwrap(), "main");
        for bad in ["", "-x", "a..b", "a.lock", "refs/heads/x", "a b", "x/", "a//b", "a/.b"] {
            assert!(branch("https://h.example/r", Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_secret_shows_in_debug_output() {
        let config =
            GitConfig { auth: basic(None, Some("hunter2"), None), ..GitConfig::new("https://h.example/r", "/m") };
        let target = RemoteAccess::check(&config).unwrap();
        assert!(!format!("{config:?} {target:?}").contains("hunter2"));
    }
}
