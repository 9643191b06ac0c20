//! A repository behind HTTP: URL, credentials, and the redirect that the server answered with.

use super::service::service;
use crate::config::{CheckedCredentials, RemoteAccess};
use crate::error::GitError;
use base64::Engine as _;
use git2::transport::Service;
use http::{HeaderValue, Method, Request, header};
use kollect_net::NetError;
use kollect_net::http::{Client, Response, Upload};
use parking_lot::Mutex;

/// A repository behind HTTP. Keeps one connection between operations.
pub(crate) struct HttpEndpoint {
    client: Client,
    base: Mutex<String>,
    authorization: Option<HeaderValue>,
}

impl HttpEndpoint {
    pub(crate) fn new(client: Client, access: &RemoteAccess) -> Result<Self, GitError> {
        let authorization = match &access.auth {
            CheckedCredentials::Basic { user, secret } => {
                let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{}", secret.expose()));
                let mut value = HeaderValue::try_from(format!("Basic {pair}"))
                    .map_err(|_| GitError::Config("the credentials cannot be sent in a header".to_owned()))?;
                value.set_sensitive(true);
                Some(value)
            }
            _ => None,
        };
        Ok(Self { client, base: Mutex::new(access.url.base()), authorization })
    }

    pub(super) async fn send(
        &self,
        request: Request<Upload>,
        progress: &(dyn Fn() + Sync),
    ) -> Result<Response, NetError> {
        self.client.send_watched(request, progress).await
    }

    pub(super) fn request(&self, action: Service, body: Upload) -> Result<Request<Upload>, GitError> {
        let (base, service) = (self.base.lock().clone(), service(action));
        let mut request = match action {
            Service::UploadPackLs | Service::ReceivePackLs => {
                Request::builder().method(Method::GET).uri(format!("{base}/info/refs?service={service}"))
            }
            Service::UploadPack | Service::ReceivePack => Request::builder()
                .method(Method::POST)
                .uri(format!("{base}/{service}"))
                .header(header::CONTENT_TYPE, format!("application/x-{service}-request"))
                .header(header::ACCEPT, format!("application/x-{service}-result")),
        };
        // Hosting services recognise a Git client by this prefix.
        request = request.header(header::USER_AGENT, concat!("git/2.0 (kollect ", env!("CARGO_PKG_VERSION"), ")"));
        if let Some(value) = &self.authorization {
            request = request.header(header::AUTHORIZATION, value.clone());
        }
        request.body(body).map_err(|error| GitError::Config(format!("the repository URL cannot be requested: {error}")))
    }

    /// Applies a redirect of the first request, as `git` does: same host, never from https to http, and from http to
    /// https only at the same or the usual port. The credentials are sent to the new URL.
    pub(super) fn follow(&self, location: &str, action: Service) -> bool {
        let mut base = self.base.lock();
        let Ok(from) = url::Url::parse(&format!("{base}/info/refs")) else { return false };
        let Ok(to) = from.join(location) else { return false };
        let same = to.host_str() == from.host_str()
            && match (from.scheme(), to.scheme()) {
                (a, b) if a == b => to.port_or_known_default() == from.port_or_known_default(),
                ("http", "https") => {
                    let port = to.port_or_known_default();
                    port == Some(443) || port == from.port_or_known_default()
                }
                _ => false,
            };
        let wanted = format!("/info/refs?service={}", service(action));
        match to.as_str().strip_suffix(&wanted) {
            Some(new) if same => {
                new.clone_into(&mut base);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{GitConfig, GitCredentials};
    use kollect_net::http::ClientConfig;
    use kollect_net::{GuardedDialer, TlsSpec};
    use std::time::Duration;

    fn endpoint(url: &str) -> HttpEndpoint {
        let auth = GitCredentials::Basic { user: None, token: Some("t0ken".into()), password: None };
        let target = RemoteAccess::check(&GitConfig { auth, ..GitConfig::new(url, "/m") }).unwrap();
        let client = Client::new(ClientConfig {
            dialer: GuardedDialer::default(),
            tls: TlsSpec::default().client_config().unwrap(),
            server_name: None,
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
        });
        HttpEndpoint::new(client, &target).unwrap()
    }

    #[test]
    fn a_redirect_is_followed_on_the_same_host_only_and_never_to_http() {
        const LS: Service = Service::UploadPackLs;
        let query = "info/refs?service=git-upload-pack";
        for (from, location, followed) in [
            ("https://git.example/a", format!("/a.git/{query}"), Some("https://git.example/a.git")),
            ("https://git.example/a", format!("https://git.example/b/{query}"), Some("https://git.example/b")),
            ("http://git.example/a", format!("https://git.example/a/{query}"), Some("https://git.example/a")),
            (
                "http://git.example:8080/a",
                format!("https://git.example:8080/a/{query}"),
                Some("https://git.example:8080/a"),
            ),
            ("http://git.example:8080/a", format!("https://git.example/a/{query}"), Some("https://git.example/a")),
            ("http://git.example/a", format!("https://git.example:6443/a/{query}"), None),
            ("http://git.example/a", format!("http://git.example:6443/a/{query}"), None),
            ("https://git.example/a", format!("http://git.example/a/{query}"), None),
            ("https://git.example/a", format!("https://other.example/a/{query}"), None),
            ("https://git.example/a", format!("https://git.example:444/a/{query}"), None),
            ("https://git.example/a", "/login".to_owned(), None),
        ] {
            let endpoint = endpoint(from);
            assert_eq!(endpoint.follow(&location, LS), followed.is_some(), "{from} {location}");
            assert_eq!(*endpoint.base.lock(), followed.unwrap_or(from));
        }
    }

    #[test]
    fn credentials_travel_in_a_header_that_does_not_print_itself() {
        let request = endpoint("https://git.example/a").request(Service::ReceivePack, Upload::Empty).unwrap();
        assert_eq!(request.uri(), "https://git.example/a/git-receive-pack");
        let value = &request.headers()[header::AUTHORIZATION];
        assert_eq!(value, "Basic eC1hY2Nlc3MtdG9rZW46dDBrZW4=");
        assert!(!format!("{request:?}").contains("eC1hY2"));
    }
}
