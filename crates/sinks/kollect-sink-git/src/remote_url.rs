//! Parses the URL of a repository (`https://`, `ssh://` or `git@host:path`) into one canonical form.

use std::fmt;
use url::Url;

/// Protocol of the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    Ssh,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ssh => "ssh",
        }
    }
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Ssh => 22,
        }
    }
}

/// A repository address without password and without fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteUrl {
    pub(crate) scheme: Scheme,
    /// As in a URL: an IPv6 address keeps its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Starts with `/`, except for a home-relative path of the `host:path` form.
    pub(crate) path: String,
    /// User in an SSH address.
    pub(crate) user: Option<String>,
    /// Branch in the fragment (`#branch=release`).
    pub(crate) branch: Option<String>,
}

impl RemoteUrl {
    /// Parses a URL. Errors never repeat the text, which may contain a password.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if !text.contains("://") {
            return scp_like(text);
        }
        let url = Url::parse(text).map_err(|_| "the repository URL is not a valid URL")?;
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "ssh" | "git+ssh" => Scheme::Ssh,
            _ => return Err("the repository URL must start with https://, http:// or ssh://"),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the repository URL has no host")?;
        let user = Some(url.username()).filter(|user| !user.is_empty() && scheme == Scheme::Ssh);
        let path = match scheme {
            Scheme::Ssh => decoded(url.path())?,
            _ => url.path().to_owned(),
        };
        Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port: url.port().unwrap_or(scheme.port()),
            path,
            user: user.map(str::to_owned),
            branch: url.fragment().and_then(|f| f.strip_prefix("branch=")).map(str::to_owned),
        }
        .checked()
    }

    fn checked(mut self) -> Result<Self, &'static str> {
        while self.path.ends_with('/') {
            self.path.pop();
        }
        if self.path.is_empty() {
            return Err("the repository URL has no path");
        }
        if self.path.chars().any(char::is_control) {
            return Err("the repository path contains a control character");
        }
        Ok(self)
    }

    /// URL to which the paths of Git's protocol are appended.
    pub(crate) fn base(&self) -> String {
        let scheme = self.scheme.name();
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        if self.port == self.scheme.port() {
            format!("{scheme}://{}{slash}{}", self.host, self.path)
        } else {
            format!("{scheme}://{}:{}{slash}{}", self.host, self.port, self.path)
        }
    }
}

impl fmt::Display for RemoteUrl {
    /// The canonical form: no user, no default port, no trailing slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base())
    }
}

fn decoded(path: &str) -> Result<String, &'static str> {
    percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| "the repository path is not UTF-8")
}

/// `user@host:path`, as `git clone` takes it.
fn scp_like(text: &str) -> Result<RemoteUrl, &'static str> {
    const FORM: &str = "the repository URL must be of the form https://host/path, ssh://host/path or git@host:path";
    let (text, fragment) = text.split_once('#').map_or((text, None), |(text, fragment)| (text, Some(fragment)));
    let (user, rest) = text.split_once('@').map_or((None, text), |(user, rest)| (Some(user), rest));
    let (host, path) = rest.split_once(':').ok_or(FORM)?;
    if host.is_empty() || host.contains('/') || user.is_some_and(|user| user.is_empty() || user.contains(':')) {
        return Err(FORM);
    }
    RemoteUrl {
        scheme: Scheme::Ssh,
        host: host.to_ascii_lowercase(),
        port: 22,
        path: path.to_owned(),
        user: user.map(str::to_owned),
        branch: fragment.and_then(|f| f.strip_prefix("branch=")).map(str::to_owned),
    }
    .checked()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_repository_become_one_address_without_credentials() {
        for (text, canonical) in [
            ("https://Git.Example:443/team/repo.git/", "https://git.example/team/repo.git"),
            ("https://bot:hunter2@git.example/team/repo.git", "https://git.example/team/repo.git"),
            ("http://git.example:8080/r#branch=dev", "http://git.example:8080/r"),
            ("ssh://git@git.example:22/team/repo", "ssh://git.example/team/repo"),
            ("git@git.example:team/repo.git", "ssh://git.example/team/repo.git"),
        ] {
            assert_eq!(RemoteUrl::parse(text).unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn the_user_of_an_ssh_address_and_the_branch_of_a_fragment_are_kept() {
        let url = RemoteUrl::parse("deploy@git.example:repo#branch=dev").unwrap();
        assert_eq!((url.user.as_deref(), url.branch.as_deref(), &*url.path), (Some("deploy"), Some("dev"), "repo"));
        let url = RemoteUrl::parse("ssh://deploy@[::1]:2222/srv/a%20b.git").unwrap();
        assert_eq!(
            (url.user.as_deref(), &*url.host, url.port, &*url.path),
            (Some("deploy"), "[::1]", 2222, "/srv/a b.git")
        );
    }

    #[test]
    fn addresses_that_cannot_be_reached_are_refused() {
        for text in [
            "file:///srv/repo",
            "/srv/repo",
            "git.example",
            "https://git.example",
            "https:///x",
            "git://h/r",
            "a:b@h:r",
            "git@h:a\nb",
        ] {
            assert!(RemoteUrl::parse(text).is_err(), "{text}");
        }
    }
}
