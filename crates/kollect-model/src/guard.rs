//! Which hosts and addresses a connection may go to.
//!
//! Separate because admission asks it about literal hosts and the dialer about every resolved address. No look-ups.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What connections may reach beyond public addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Guard {
    /// RFC 1918 and IPv6 unique local addresses (`--allow-private-sinks`).
    pub allow_private: bool,
    /// Loopback addresses and `localhost`; for demos and tests on one machine.
    pub allow_loopback: bool,
}

/// Why a host or an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A host name that stands for this machine.
    #[error("the host name stands for the local machine")]
    LocalName,
    /// A host name of a cloud metadata service.
    #[error("the host name is that of a cloud metadata service")]
    MetadataName,
    /// Loopback.
    #[error("it is a loopback address")]
    Loopback,
    /// Link-local, which includes cloud metadata services.
    #[error("it is a link-local address")]
    LinkLocal,
    /// `0.0.0.0/8` and `::`.
    #[error("it is the unspecified address")]
    Unspecified,
    /// Multicast or broadcast.
    #[error("it is a multicast or broadcast address")]
    Multicast,
    /// Carrier-grade NAT and benchmarking ranges, and the IPv6 metadata address.
    #[error("it is in a reserved range")]
    Reserved,
    /// Private, and not allowed.
    #[error("it is a private address; start the operator with --allow-private-sinks to permit those")]
    Private,
}

const METADATA: [&str; 4] = ["metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"];
const EC2_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

impl Guard {
    /// Everything private and local is allowed: for a CLI run on the user's own machine.
    pub const fn open() -> Self {
        Self { allow_private: true, allow_loopback: true }
    }

    /// Checks a host name or literal address (`[::1]`, `fe80::1%eth0` and a trailing dot are understood). No look-up.
    pub fn check_host(&self, host: &str) -> Result<(), Denied> {
        let host = host.trim().trim_start_matches('[').trim_end_matches(']');
        let bare = host.split('%').next().unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return self.check_addr(address);
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        if METADATA.contains(&name.as_str()) {
            return Err(Denied::MetadataName);
        }
        let local = matches!(name.as_str(), "localhost" | "localhost.localdomain") || name.ends_with(".localhost");
        if local && !self.allow_loopback {
            return Err(Denied::LocalName);
        }
        Ok(())
    }

    /// Checks an address. An IPv4 address inside an IPv6 one counts as itself.
    pub fn check_addr(&self, address: IpAddr) -> Result<(), Denied> {
        match address {
            IpAddr::V4(v4) => self.check_v4(v4),
            IpAddr::V6(v6) => match embedded_v4(v6) {
                Some(v4) => self.check_v4(v4),
                None => self.check_v6(v6),
            },
        }
    }

    fn check_v4(self, address: Ipv4Addr) -> Result<(), Denied> {
        let [a, b, ..] = address.octets();
        let denied = if address.is_loopback() {
            return if self.allow_loopback { Ok(()) } else { Err(Denied::Loopback) };
        } else if a == 0 {
            Denied::Unspecified
        } else if address.is_link_local() {
            Denied::LinkLocal
        } else if address.is_multicast() || address.is_broadcast() {
            Denied::Multicast
        } else if (a == 100 && b & 0xC0 == 64) || (a == 198 && b & 0xFE == 18) {
            Denied::Reserved
        } else if address.is_private() && !self.allow_private {
            Denied::Private
        } else {
            return Ok(());
        };
        Err(denied)
    }

    fn check_v6(self, address: Ipv6Addr) -> Result<(), Denied> {
        let first = address.segments()[0];
        let denied = if address.is_loopback() {
            return if self.allow_loopback { Ok(()) } else { Err(Denied::Loopback) };
        } else if address.is_unspecified() {
            Denied::Unspecified
        } else if first & 0xFFC0 == 0xFE80 {
            Denied::LinkLocal
        } else if address.is_multicast() {
            Denied::Multicast
        } else if address == EC2_METADATA {
            Denied::Reserved
        } else if first & 0xFE00 == 0xFC00 && !self.allow_private {
            Denied::Private
        } else {
            return Ok(());
        };
        Err(denied)
    }
}

/// The IPv4 address that an IPv4-mapped or NAT64 (`64:ff9b::/96`) address leads to.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(v4) = address.to_ipv4_mapped() {
        return Some(v4);
    }
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() else { return None };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Guard = Guard { allow_private: false, allow_loopback: false };
    const PRIVATE: Guard = Guard { allow_private: true, allow_loopback: false };

    fn allowed(host: &str) -> (bool, bool, bool) {
        (DEFAULT.check_host(host).is_ok(), PRIVATE.check_host(host).is_ok(), Guard::open().check_host(host).is_ok())
    }

    #[test]
    fn public_hosts_are_always_allowed() {
        for host in ["93.184.216.34", "2606:2800:220:1::1", "[2606:2800:220:1::1]", "db.example.com", "100.63.0.1"] {
            assert_eq!(allowed(host), (true, true, true), "{host}");
        }
    }

    #[test]
    fn private_addresses_need_the_flag() {
        for host in ["10.1.2.3", "172.16.0.9", "192.168.1.1", "fd12::1", "::ffff:10.1.2.3", "64:ff9b::a01:203"] {
            assert_eq!(allowed(host), (false, true, true), "{host}");
        }
    }

    #[test]
    fn loopback_needs_its_own_flag() {
        for host in
            ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LocalHost.", "x.localhost", "::ffff:127.0.0.1"]
        {
            assert_eq!(allowed(host), (false, false, true), "{host}");
        }
    }

    #[test]
    fn dangerous_addresses_are_never_allowed() {
        for host in [
            "169.254.169.254",
            "fe80::1",
            "fe80::1%eth0",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "198.18.0.1",
            "198.19.0.1",
            "fd00:ec2::254",
            "fd00:ec2::254%1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "metadata",
            "Metadata.Google.Internal.",
            "instance-data",
            "instance-data.ec2.internal",
        ] {
            assert_eq!(allowed(host), (false, false, false), "{host}");
        }
    }
}
