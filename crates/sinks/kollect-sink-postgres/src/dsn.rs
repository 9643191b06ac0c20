//! Parses a connection string in libpq's two forms.
//!
//! The driver supports neither `verify-full` nor settings that name files, and its messages may quote the string. Errors
//! of this module never repeat any part of it.

use kollect_export::SinkError;
use kollect_net::{Insecure, TlsSpec};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::net::IpAddr;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// A checked connection string.
#[derive(Clone)]
pub(crate) struct Dsn {
    /// User, password, database, options and TLS mode.
    pub(crate) driver: tokio_postgres::Config,
    /// Servers in the order in which they are tried.
    pub(crate) servers: Vec<ServerAddress>,
    /// `target_session_attrs=read-write`: skip servers that refuse writes.
    pub(crate) read_write: bool,
    /// How to verify the server.
    pub(crate) tls: TlsSpec,
    /// Why the connection is not safe, if so.
    pub(crate) insecure: Option<Insecure>,
}

/// One server address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    /// Name that the certificate must be for.
    pub(crate) name: String,
    /// Host name or address to dial.
    pub(crate) dial: String,
    pub(crate) port: u16,
}

/// Settings that the driver reads.
const DRIVER_KEYS: [&str; 12] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "host",
    "hostaddr",
    "port",
    "target_session_attrs",
    "channel_binding",
    "sslnegotiation",
    "connect_timeout",
];
/// Settings of other drivers or of sockets, without effect.
const IGNORED: [&str; 13] = [
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "load_balance_hosts",
    "pool_max_conns",
    "pool_min_conns",
    "pool_max_conn_lifetime",
    "pool_max_conn_idle_time",
    "pool_health_check_period",
    "fallback_application_name",
    "client_encoding",
];

fn refused(why: &str) -> SinkError {
    SinkError::terminal("connection string", why)
}

impl Dsn {
    pub(crate) fn parse(text: &str, tls: &TlsSpec) -> Result<Self, SinkError> {
        let text = text.trim();
        let (base, settings) = if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let (base, query) = text.split_once('?').unwrap_or((text, ""));
            (Some(base), url_settings(query)?)
        } else {
            (
                None,
                keyword_settings(text).ok_or_else(|| refused("it is neither a postgres:// URL nor key=value pairs"))?,
            )
        };
        let mut ssl = SslSettings::default();
        let mut options = String::new();
        let mut kept = Vec::new();
        for (key, value) in settings {
            if ssl.take(&key, &value)? || IGNORED.contains(&key.as_str()) {
                continue;
            }
            if DRIVER_KEYS.contains(&key.as_str()) {
                kept.push((key, value));
            } else {
                // Any other key is a session setting, such as search_path.
                push_option(&mut options, &key, &value)?;
            }
        }
        if !options.is_empty() {
            match kept.iter_mut().find(|(key, _)| key == "options") {
                Some((_, own)) => *own = format!("{own} {options}"),
                None => kept.push(("options".into(), options)),
            }
        }
        let mut driver = read(base, &kept)?;
        let skips = tls.insecure_skip_verify;
        let tls = ssl.apply(&mut driver, tls)?;
        let insecure = match driver.get_ssl_mode() {
            SslMode::Disable => Some(Insecure::Plaintext),
            _ if skips => Some(Insecure::SkipVerify),
            SslMode::Require if !tls.insecure_skip_verify => None,
            _ => Some(Insecure::Unverified),
        };
        if driver.get_user().is_none() {
            return Err(refused("it names no user"));
        }
        let servers = servers(&driver)?;
        let read_write = driver.get_target_session_attrs() == TargetSessionAttrs::ReadWrite;
        Ok(Self { driver, servers, read_write, tls, insecure })
    }
}

/// Hands the remaining settings to the driver's own parser.
fn read(base: Option<&str>, kept: &[(String, String)]) -> Result<tokio_postgres::Config, SinkError> {
    let quoted: Vec<String> = kept
        .iter()
        .map(|(key, value)| match base {
            Some(_) => format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)),
            None => format!("{key}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'")),
        })
        .collect();
    let text = match base {
        Some(base) if quoted.is_empty() => base.to_owned(),
        Some(base) => format!("{base}?{}", quoted.join("&")),
        None => quoted.join(" "),
    };
    text.parse().map_err(|_| refused("it cannot be read; check its form, and percent-encode special characters"))
}

fn servers(driver: &tokio_postgres::Config) -> Result<Vec<ServerAddress>, SinkError> {
    let (hosts, addresses, ports) = (driver.get_hosts(), driver.get_hostaddrs(), driver.get_ports());
    let count = hosts.len().max(addresses.len());
    if count == 0 {
        return Err(refused("it names no host"));
    }
    let uneven = |n: usize| n > 1 && n != count;
    if uneven(ports.len()) || (!hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len()) {
        return Err(refused("the numbers of hosts, addresses and ports do not match"));
    }
    (0..count)
        .map(|at| {
            let name = match hosts.get(at) {
                Some(Host::Tcp(name)) if !name.is_empty() && !name.starts_with('/') => Some(name.clone()),
                None => None,
                Some(_) => return Err(refused("it names a Unix socket; only TCP is supported")),
            };
            let dial = addresses.get(at).map(IpAddr::to_string).or_else(|| name.clone()).unwrap_or_default();
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            Ok(ServerAddress { name: name.unwrap_or_else(|| dial.clone()), dial, port })
        })
        .collect()
}

/// The `ssl…` settings, read as libpq does.
#[derive(Default)]
struct SslSettings {
    mode: Option<String>,
    root: Option<String>,
}

impl SslSettings {
    /// Whether `key` is an `ssl…` or file setting.
    fn take(&mut self, key: &str, value: &str) -> Result<bool, SinkError> {
        match key {
            "sslmode" => self.mode = Some(value.to_owned()),
            "sslrootcert" if !value.is_empty() => self.root = Some(value.to_owned()),
            "sslcert" | "sslkey" | "sslcrl" | "sslcrldir" | "passfile" | "service" | "servicefile"
                if !value.is_empty() =>
            {
                return Err(SinkError::terminal(
                    "connection string",
                    format!(
                        "{key} names a file, which the operator cannot read; put the value into the sink or its Secret"
                    ),
                ));
            }
            "sslrootcert" | "sslcert" | "sslkey" | "sslcrl" | "sslcrldir" | "passfile" | "service" | "servicefile"
            | "sslpassword" | "sslcompression" | "sslsni" | "gssencmode" | "krbsrvname" | "requirepeer" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn apply(&self, driver: &mut tokio_postgres::Config, sink: &TlsSpec) -> Result<TlsSpec, SinkError> {
        let mut tls = sink.clone();
        let system = self.root.as_deref() == Some("system");
        if let Some(root) = &self.root
            && !(system && tls.ca_pem.is_none())
            && tls.ca_pem.as_deref().map(<[u8]>::trim_ascii) != Some(root.trim().as_bytes())
        {
            return Err(refused(
                "sslrootcert names a file, which the operator cannot read; \
                 put the CA into spec.tls.caBundle or spec.tls.caSecretRef",
            ));
        }
        let own_trust = tls.ca_pem.is_some() || tls.client_cert.is_some() || system;
        let (mode, verify_chain, verify_name) = match self.mode.as_deref() {
            None if own_trust => (SslMode::Require, true, true),
            None | Some("prefer" | "allow") => (SslMode::Prefer, false, false),
            Some("disable") => (SslMode::Disable, false, false),
            Some("require") => (SslMode::Require, tls.ca_pem.is_some(), false),
            Some("verify-ca") => (SslMode::Require, true, false),
            Some("verify-full") => (SslMode::Require, true, true),
            Some(_) => {
                return Err(refused("sslmode must be disable, allow, prefer, require, verify-ca or verify-full"));
            }
        };
        driver.ssl_mode(mode);
        tls.insecure_skip_verify |= !verify_chain;
        tls.skip_host_name |= !verify_name;
        Ok(tls)
    }
}

/// `-c key=value` for the session, with blanks and backslashes escaped as the server reads them.
fn push_option(options: &mut String, key: &str, value: &str) -> Result<(), SinkError> {
    if key.is_empty() || !key.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.')) {
        return Err(refused("it has a setting whose name is not a word"));
    }
    if !options.is_empty() {
        options.push(' ');
    }
    options.push_str("-c ");
    options.push_str(key);
    options.push('=');
    for c in value.chars() {
        if c.is_whitespace() || c == '\\' {
            options.push('\\');
        }
        options.push(c);
    }
    Ok(())
}

fn url_settings(query: &str) -> Result<Vec<(String, String)>, SinkError> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| refused("its query has a setting without a value"))?;
            Ok((key.to_owned(), percent_decode_str(value).decode_utf8_lossy().into_owned()))
        })
        .collect()
}

/// `key=value key='quoted value'`; `None` when it is not of that form.
fn keyword_settings(text: &str) -> Option<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let mut value = String::new();
        let after = after.trim_start();
        let quoted = after.starts_with('\'');
        let mut chars = after.char_indices().skip(usize::from(quoted));
        let mut end = if quoted { None } else { Some(after.len()) };
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => value.push(chars.next()?.1),
                '\'' if quoted => {
                    end = Some(at + 1);
                    break;
                }
                c if c.is_whitespace() && !quoted => {
                    end = Some(at);
                    break;
                }
                c => value.push(c),
            }
        }
        settings.push((key.trim().to_owned(), value));
        rest = after.get(end?..)?.trim_start();
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Dsn {
        Dsn::parse(text, &TlsSpec::default()).unwrap()
    }

    fn with_ca() -> TlsSpec {
        TlsSpec { ca_pem: Some(b"PEM\n".to_vec()), ..TlsSpec::default() }
    }

    #[test]
    fn both_forms_give_the_same_settings() {
        for text in [
            "postgres://u:p%40ss%20w@db.example:6432/inv?sslmode=verify-full&search_path=a%20b&connect_timeout=3",
            "host=db.example port=6432 user=u password='p@ss w' dbname = inv sslmode=verify-full search_path='a b'",
        ] {
            let dsn = parse(text);
            assert_eq!(dsn.driver.get_user(), Some("u"));
            assert_eq!(dsn.driver.get_password(), Some(&b"p@ss w"[..]));
            assert_eq!(dsn.driver.get_dbname(), Some("inv"));
            assert_eq!(dsn.driver.get_options(), Some("-c search_path=a\\ b"));
            assert_eq!(dsn.driver.get_ssl_mode(), SslMode::Require);
            assert_eq!(
                dsn.servers,
                [ServerAddress { name: "db.example".into(), dial: "db.example".into(), port: 6432 }]
            );
            assert!(!dsn.tls.insecure_skip_verify && !dsn.tls.skip_host_name);
        }
    }

    #[test]
    fn several_hosts_and_addresses_are_tried_in_order() {
        let dsn = parse("host=a,b hostaddr=10.0.0.1,10.0.0.2 port=1,2 user=u target_session_attrs=read-write");
        let server = |name: &str, dial: &str, port| ServerAddress { name: name.into(), dial: dial.into(), port };
        assert_eq!(dsn.servers, [server("a", "10.0.0.1", 1), server("b", "10.0.0.2", 2)]);
        assert!(dsn.read_write);
    }

    #[test]
    fn sslmode_decides_how_much_is_verified() {
        let levels = |mode: &str, tls: &TlsSpec| {
            let dsn = Dsn::parse(&format!("host=h user=u {mode}"), tls).unwrap();
            (dsn.driver.get_ssl_mode(), !dsn.tls.insecure_skip_verify, !dsn.tls.skip_host_name)
        };
        let none = TlsSpec::default();
        assert_eq!(levels("", &none), (SslMode::Prefer, false, false));
        assert_eq!(levels("", &with_ca()), (SslMode::Require, true, true));
        assert_eq!(levels("sslmode=disable", &with_ca()), (SslMode::Disable, false, false));
        assert_eq!(levels("sslmode=require", &none), (SslMode::Require, false, false));
        assert_eq!(levels("sslmode=require", &with_ca()), (SslMode::Require, true, false));
        assert_eq!(levels("sslmode=verify-ca", &none), (SslMode::Require, true, false));
        assert_eq!(levels("sslmode=verify-full", &none), (SslMode::Require, true, true));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_without_repeating_it() {
        let cases = [
            ("hello s3cr3t", "neither"),
            ("postgres://u:s3cr3t@[::1/x", "cannot be read"),
            ("user=u password=s3cr3t", "no host"),
            ("host=h password=s3cr3t", "no user"),
            ("host=/var/run user=u password=s3cr3t", "Unix socket"),
            ("host=h user=u sslmode=s3cr3t", "sslmode must be"),
            ("host=h user=u sslrootcert=/s3cr3t.pem", "spec.tls.caBundle"),
            ("host=h user=u sslkey=/s3cr3t.pem", "sslkey names a file"),
            ("host=h user=u password='s3cr3t", "neither"),
            ("host=a,b,c user=u port=1,2", "do not match"),
        ];
        for (text, expected) in cases {
            let error = Dsn::parse(text, &TlsSpec::default()).err().unwrap();
            assert!(error.message.contains(expected), "{text}: {error}");
            assert!(!error.message.contains("s3cr3t"), "{error}");
            assert_eq!(error.class, kollect_export::Class::Terminal);
        }
    }

    #[test]
    fn a_root_certificate_that_the_sink_already_has_is_accepted() {
        assert!(Dsn::parse("host=h user=u sslrootcert=PEM", &with_ca()).is_ok());
        assert!(Dsn::parse("host=h user=u sslrootcert=system", &TlsSpec::default()).is_ok());
    }

    #[test]
    fn a_connection_string_that_asks_for_no_verified_server_is_not_safe() {
        let (plain, ca) = (TlsSpec::default(), TlsSpec { ca_pem: Some(b"x".to_vec()), ..TlsSpec::default() });
        let skip = TlsSpec { insecure_skip_verify: true, ..TlsSpec::default() };
        for (mode, tls, expected) in [
            ("", &plain, Some(Insecure::Unverified)),
            ("?sslmode=prefer", &plain, Some(Insecure::Unverified)),
            ("?sslmode=allow", &ca, Some(Insecure::Unverified)),
            ("?sslmode=require", &plain, Some(Insecure::Unverified)),
            ("?sslmode=disable", &plain, Some(Insecure::Plaintext)),
            ("?sslmode=disable", &skip, Some(Insecure::Plaintext)),
            ("?sslmode=verify-full", &skip, Some(Insecure::SkipVerify)),
            ("?sslmode=verify-full", &plain, None),
            ("?sslmode=verify-ca", &plain, None),
            ("?sslmode=require", &ca, None),
            ("", &ca, None),
        ] {
            let dsn = Dsn::parse(&format!("postgres://u:p@db.example/d{mode}"), tls).unwrap();
            assert_eq!(dsn.insecure, expected, "{mode} {tls:?}");
        }
    }
}
