//! Calls the webhook without an API server.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// One kept-alive connection.
pub(crate) struct Caller {
    sender: SendRequest<Full<Bytes>>,
}

impl Caller {
    pub(crate) async fn connect(port: u16, ca: &str) -> anyhow::Result<Self> {
        Self::connect_with(port, ca, &[&rustls::version::TLS13]).await
    }

    pub(crate) async fn connect_with(
        port: u16,
        ca: &str,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            roots.add(certificate?)?;
        }
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from("127.0.0.1")?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.context("TLS")?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    pub(crate) async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> anyhow::Result<(u16, Bytes)> {
        self.sender.ready().await?;
        let request = http::Request::post(path).header("host", "127.0.0.1").body(Full::new(body.into()))?;
        let response = self.sender.send_request(request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    /// The response of a review of a new object.
    pub(crate) async fn review(&mut self, object: &Value) -> anyhow::Result<Value> {
        let (status, body) = self.post(&path(object), question(object)).await?;
        anyhow::ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice::<Value>(&body)?["response"].take())
    }
}

pub(crate) fn path(object: &Value) -> String {
    format!("/validate-kollect-dev-v1alpha1-{}", object["kind"].as_str().unwrap_or_default().to_lowercase())
}

pub(crate) fn question(object: &Value) -> Vec<u8> {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u", "operation": "CREATE", "object": object},
    })
    .to_string()
    .into_bytes()
}
