//! Checked, immutable settings of the operator, made once from the flags.

use crate::args::{OperatorArgs, WebhookArgs};
use anyhow::{Context, ensure};
use kollect_admission::certs::CertificateFiles;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tracing::Level;

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
    Console,
}

/// All settings of the operator.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub health_address: Option<SocketAddr>,
    pub metrics_address: Option<SocketAddr>,
    pub leader_election: Option<LeaderElection>,
    pub namespace: String,
    pub log_level: Level,
    pub log_format: LogFormat,
    pub export_timeout: Duration,
    pub dispatch_workers: usize,
    pub dispatch_queue: usize,
    /// 0 = no limit.
    pub max_store_bytes: u64,
    pub max_row_bytes: usize,
    pub webhook: Option<WebhookSettings>,
    pub read_api: Option<ReadApiSettings>,
}

/// The inventory read API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadApiSettings {
    pub address: SocketAddr,
    /// Whether requests need no token.
    pub open: bool,
    /// How long decisions of the API server are remembered.
    pub remember: Duration,
}

/// The validating webhook.
#[derive(Clone, Debug)]
pub(crate) struct WebhookSettings {
    pub address: SocketAddr,
    /// A certificate from `--webhook-cert-path`.
    pub files: Option<CertificateFiles>,
    /// Host names by which the API server calls the webhook.
    pub names: Vec<String>,
    pub secret: String,
    pub configuration: String,
    pub lifetime: Duration,
}

/// Timing and identity for leader election.
#[derive(Clone, Debug)]
pub(crate) struct LeaderElection {
    pub identity: String,
    pub lease_duration: Duration,
    pub renew_deadline: Duration,
    pub retry_period: Duration,
}

impl Settings {
    /// Checks the flags. Every refusal names the flag and the remedy.
    pub(crate) fn from_args(args: &OperatorArgs) -> anyhow::Result<Self> {
        refuse_what_is_not_there(args)?;
        let namespace = args.leader_elect_namespace.clone().or_else(pod_namespace);
        let namespace = namespace.unwrap_or_else(|| "kollect-system".to_owned());
        // In tenant mode the operator may not write the ValidatingWebhookConfiguration, so the webhook is opt-in.
        let reviews = args.validating_webhooks_enabled.unwrap_or(!args.tenant_mode);
        let webhook = reviews.then(|| webhook(&args.webhook, &namespace)).transpose()?;
        Ok(Self {
            health_address: address(&args.health_probe_bind_address).context("--health-probe-bind-address")?,
            metrics_address: address(&args.metrics_bind_address).context("--metrics-bind-address")?,
            leader_election: args.leader_elect.then(|| leader_election(args)).transpose()?,
            namespace,
            log_level: level(&args.zap_log_level)?,
            log_format: match args.zap_encoder.as_deref() {
                Some("json") => LogFormat::Json,
                Some(_) => LogFormat::Console,
                None if args.zap_devel => LogFormat::Console,
                None => LogFormat::Json,
            },
            export_timeout: positive(args.export_timeout, Duration::from_mins(2)),
            dispatch_workers: usize::try_from(args.collect_dispatch_workers).ok().filter(|n| *n > 0).unwrap_or(4),
            dispatch_queue: usize::try_from(args.collect_dispatch_queue_size).ok().filter(|n| *n > 0).unwrap_or(512),
            max_store_bytes: crate::memory_limit::of(args.max_store_bytes),
            max_row_bytes: usize::try_from(args.max_row_bytes)?,
            webhook,
            read_api: args.inventory_http_enabled.then(|| read_api(args)).transpose()?,
        })
    }
}

fn refuse_what_is_not_there(args: &OperatorArgs) -> anyhow::Result<()> {
    ensure!(!args.enable_pprof, "--enable-pprof: this release serves no profiles; set it to false");
    ensure!(!args.enable_http2, "--enable-http2: this release serves HTTP/1.1 only; set it to false");
    ensure!(
        !args.metrics_secure || off(&args.metrics_bind_address),
        "--metrics-secure=true: this release serves /metrics without TLS only; set --metrics-secure=false and protect \
         the port with a NetworkPolicy, or turn it off with --metrics-bind-address=0"
    );
    Ok(())
}

fn read_api(args: &OperatorArgs) -> anyhow::Result<ReadApiSettings> {
    let port = args.inventory_http_port;
    ensure!(port != 0, "--inventory-http-port: 0 is no port; use 1 to 65535");
    Ok(ReadApiSettings {
        address: ([0, 0, 0, 0], port).into(),
        open: ["disabled", "none"].contains(&args.inventory_auth_mode.as_str()),
        remember: args.inventory_auth_cache_ttl,
    })
}

fn webhook(args: &WebhookArgs, namespace: &str) -> anyhow::Result<WebhookSettings> {
    let address = address(&args.webhook_bind_address).context("--webhook-bind-address")?;
    let address =
        address.context("--webhook-bind-address: to have no webhook, set --validating-webhooks-enabled=false")?;
    ensure!(args.webhook_cert_lifetime >= Duration::from_secs(3), "--webhook-cert-lifetime must be at least 3s");
    let directory = Some(args.webhook_cert_path.as_str()).filter(|path| !path.is_empty()).map(PathBuf::from);
    let service = format!("{}.{namespace}.svc", args.webhook_service_name);
    let mut names = vec![format!("{service}.cluster.local"), service];
    names.extend(args.webhook_host_names.iter().cloned());
    Ok(WebhookSettings {
        address,
        files: directory.map(|directory| CertificateFiles {
            certificate: directory.join(&args.webhook_cert_name),
            key: directory.join(&args.webhook_cert_key),
        }),
        names,
        secret: args.webhook_secret_name.clone(),
        configuration: args.webhook_configuration_name.clone(),
        lifetime: args.webhook_cert_lifetime,
    })
}

fn leader_election(args: &OperatorArgs) -> anyhow::Result<LeaderElection> {
    let (lease, renew, retry) =
        (args.leader_elect_lease_duration, args.leader_elect_renew_deadline, args.leader_elect_retry_period);
    ensure!(
        retry > Duration::ZERO && retry < renew && renew < lease,
        "--leader-elect-retry-period < --leader-elect-renew-deadline < --leader-elect-lease-duration must hold, \
         but they are {retry:?}, {renew:?} and {lease:?}"
    );
    ensure!(lease >= Duration::from_secs(1), "--leader-elect-lease-duration must be at least 1s");
    let identity = args.leader_elect_identity.clone().filter(|id| !id.is_empty()).unwrap_or_else(|| {
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "kollect".to_owned());
        format!("{host}_{}_{:x}", std::process::id(), kollect_control::clock::boot_time().as_millis())
    });
    Ok(LeaderElection { identity, lease_duration: lease, renew_deadline: renew, retry_period: retry })
}

fn pod_namespace() -> Option<String> {
    let text = std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace").ok()?;
    Some(text.trim().to_owned()).filter(|ns| !ns.is_empty())
}

fn off(address: &str) -> bool {
    address.is_empty() || address == "0"
}

/// `:8081` means every address; `0` means off.
fn address(text: &str) -> anyhow::Result<Option<SocketAddr>> {
    if off(text) {
        return Ok(None);
    }
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    Ok(Some(full.parse().with_context(|| format!("{text:?} is not an address like :8081 or 127.0.0.1:8081"))?))
}

fn level(text: &str) -> anyhow::Result<Level> {
    Ok(match text {
        "debug" => Level::DEBUG,
        "info" | "0" => Level::INFO,
        "warn" => Level::WARN,
        "error" | "panic" => Level::ERROR,
        other => match other.parse::<u8>() {
            Ok(1) => Level::DEBUG,
            Ok(_) => Level::TRACE,
            Err(_) => anyhow::bail!("--zap-log-level: {other:?} is not one of debug, info, warn, error or a number"),
        },
    })
}

fn positive(value: Duration, otherwise: Duration) -> Duration {
    if value.is_zero() { otherwise } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        operator: OperatorArgs,
    }

    fn settings(args: &[&str]) -> anyhow::Result<Settings> {
        let parsed = Only::try_parse_from(std::iter::once("kollect").chain(args.iter().copied()))?;
        Settings::from_args(&parsed.operator)
    }

    #[test]
    fn go_style_switches_and_durations_are_understood() {
        let made = settings(&[
            "--leader-elect",
            "--leader-elect-lease-duration=1m30s",
            "--metrics-bind-address=:9090",
            "--metrics-secure=false",
            "--validating-webhooks-enabled=false",
        ])
        .unwrap();
        assert!(made.webhook.is_none());
        let election = made.leader_election.unwrap();
        assert_eq!(election.lease_duration, Duration::from_secs(90));
        assert_eq!(made.metrics_address.unwrap().port(), 9090);
        assert_eq!(made.health_address.unwrap().port(), 8081);
        assert!(settings(&["--leader-elect=false"]).unwrap().leader_election.is_none());
    }

    #[test]
    fn the_webhook_is_on_by_default_and_makes_its_own_certificate_unless_it_is_given_one() {
        let made = settings(&["--leader-elect-namespace=ops"]).unwrap().webhook.unwrap();
        assert_eq!((made.address.port(), made.files.is_none()), (9443, true));
        assert!(made.names.contains(&"kollect-webhook-service.ops.svc".to_owned()));
        assert!(settings(&["--tenant-mode"]).unwrap().webhook.is_none());
        assert!(settings(&["--tenant-mode", "--validating-webhooks-enabled"]).unwrap().webhook.is_some());
        let given = settings(&["--webhook-cert-path=/certs"]).unwrap().webhook.unwrap().files.unwrap();
        assert_eq!(given.certificate, PathBuf::from("/certs/tls.crt"));
    }

    #[test]
    fn the_read_api_is_off_and_asks_the_api_server_by_default() {
        assert_eq!(settings(&[]).unwrap().read_api, None);
        let read_api =
            |args: &[&str]| settings(&[&["--inventory-http-enabled"], args].concat()).unwrap().read_api.unwrap();
        let usual = read_api(&[]);
        assert_eq!((usual.address.port(), usual.open, usual.remember), (8082, false, Duration::from_secs(30)));
        assert!(read_api(&["--inventory-auth-mode=disabled"]).open && read_api(&["--inventory-auth-mode=none"]).open);
        // What is not understood must not open anything.
        assert!(!read_api(&["--inventory-auth-mode=Disabled"]).open);
    }

    #[test]
    fn what_this_release_lacks_is_refused_with_a_remedy() {
        for args in [
            &["--enable-pprof"][..],
            &["--inventory-http-enabled=true", "--inventory-http-port=0"],
            &["--webhook-bind-address=0"],
            &["--metrics-bind-address=:8443"],
            &["--leader-elect", "--leader-elect-retry-period=50s"],
        ] {
            let error = settings(args).unwrap_err().to_string();
            assert!(error.starts_with("--"), "{error}");
        }
    }
}
