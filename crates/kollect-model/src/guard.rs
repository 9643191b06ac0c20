//! Which hosts and addresses a connection may go to.
//!
//! Admission checks literal hosts with it, the dialer every resolved address. It resolves nothing.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;
use std::sync::Arc;

/// What connections may reach beyond public addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Guard {
    /// RFC 1918 and IPv6 unique local addresses (`--allow-private-sinks`).
    pub allow_private: bool,
    /// Loopback addresses and `localhost`; for demos and tests on one machine.
    pub allow_loopback: bool,
    /// The person who chose the address is the one who reads the errors, so a server at a private address may be
    /// quoted. False wherever tenants choose addresses.
    pub quote_private: bool,
    /// Ranges that are refused whatever the flags (`--denied-sink-cidrs`).
    pub denied: Arc<[Cidr]>,
}

/// A range of addresses, such as `10.0.0.0/8`. An address without a length is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    base: IpAddr,
    length: u8,
}

/// A text that is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a range of addresses such as 10.0.0.0/8 or fd00::/8")]
pub struct NotACidr(String);

impl Cidr {
    /// Whether the address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.length);
                u64::from(base.to_bits()) >> shift == u64::from(address.to_bits()) >> shift
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let differs = base.to_bits() ^ address.to_bits();
                differs.leading_zeros() >= u32::from(self.length)
            }
            _ => false,
        }
    }
}

impl From<IpAddr> for Cidr {
    fn from(address: IpAddr) -> Self {
        let base = address.to_canonical();
        Self { base, length: if base.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for Cidr {
    type Err = NotACidr;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || NotACidr(text.to_owned());
        let (base, length) = match text.trim().split_once('/') {
            None => return Ok(text.trim().parse::<IpAddr>().map_err(|_| bad())?.into()),
            Some((base, length)) => (base, length.parse::<u8>().map_err(|_| bad())?),
        };
        let base: IpAddr = base.parse().map_err(|_| bad())?;
        if length > if base.is_ipv4() { 32 } else { 128 } {
            return Err(bad());
        }
        // `::ffff:10.0.0.0/104` means IPv4 addresses, which are compared as such.
        match base.to_canonical() {
            canonical if canonical != base && length >= 96 => Ok(Self { base: canonical, length: length - 96 }),
            _ => Ok(Self { base, length }),
        }
    }
}

/// Why a host or an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A host name of this machine.
    #[error("the host name stands for the local machine")]
    LocalName,
    /// A host name of a cloud metadata service.
    #[error("the host name is that of a cloud metadata service")]
    MetadataName,
    /// An address of a cloud metadata service.
    #[error("it is the reserved address of a cloud metadata service")]
    Metadata,
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
    /// Carrier-grade NAT, benchmarking, site-local and other special ranges.
    #[error("it is in a reserved range")]
    Reserved,
    /// In a range of [`Guard::denied`].
    #[error("it is in a range that this operator denies (--denied-sink-cidrs, and the address of the API server)")]
    Listed,
    /// Private, and not allowed.
    #[error("it is a private address; start the operator with --allow-private-sinks to permit those")]
    Private,
}

const METADATA_NAMES: [&str; 5] =
    ["metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];

/// Addresses of cloud metadata services outside of the link-local and other ranges that are always refused.
const METADATA: [IpAddr; 5] = [
    // Azure's wire server.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // Amazon.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    // Google Cloud.
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    // Oracle Cloud.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
    // Scaleway.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
];

impl Guard {
    /// Everything private and local is allowed: for a CLI run on the user's own machine.
    pub fn open() -> Self {
        Self { allow_private: true, allow_loopback: true, quote_private: true, denied: Arc::default() }
    }

    /// Checks a host name or literal address (`[::1]`, `fe80::1%eth0` and a trailing dot are understood). It resolves nothing.
    pub fn check_host(&self, host: &str) -> Result<(), Denied> {
        let host = host.trim().trim_start_matches('[').trim_end_matches(']');
        let bare = host.split('%').next().unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return self.check_addr(address);
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        if METADATA_NAMES.contains(&name.as_str()) {
            return Err(Denied::MetadataName);
        }
        let local = matches!(name.as_str(), "localhost" | "localhost.localdomain") || name.ends_with(".localhost");
        if local && !self.allow_loopback {
            return Err(Denied::LocalName);
        }
        Ok(())
    }

    /// Checks an address, and every IPv4 address inside an IPv6 one: a translator on the way may deliver it there.
    pub fn check_addr(&self, address: IpAddr) -> Result<(), Denied> {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.check_v4(v4),
            IpAddr::V6(v6) => {
                self.check_v6(v6)?;
                embedded_v4(v6).into_iter().flatten().try_for_each(|v4| self.check_v4(v4))
            }
        }
    }

    /// Whether the text of a server at this address may reach the reader of an error.
    pub fn may_quote(&self, address: IpAddr) -> bool {
        let public = Self::default().check_addr(address).is_ok();
        // The other loopback addresses may be routed to other hosts.
        let this_machine = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let local = self.allow_loopback && this_machine.contains(&address.to_canonical());
        self.quote_private || public || local
    }

    fn check_listed(&self, address: IpAddr) -> Result<(), Denied> {
        if METADATA.contains(&address) {
            return Err(Denied::Metadata);
        }
        if self.denied.iter().any(|range| range.contains(address)) { Err(Denied::Listed) } else { Ok(()) }
    }

    fn check_v4(&self, address: Ipv4Addr) -> Result<(), Denied> {
        self.check_listed(address.into())?;
        let [a, b, c, _] = address.octets();
        let denied = if address.is_loopback() {
            return if self.allow_loopback { Ok(()) } else { Err(Denied::Loopback) };
        } else if a == 0 {
            Denied::Unspecified
        } else if address.is_link_local() {
            Denied::LinkLocal
        } else if address.is_multicast() || address.is_broadcast() {
            Denied::Multicast
        } else if (a == 100 && b & 0xC0 == 64)
            || (a == 198 && b & 0xFE == 18)
            || (a, b, c) == (192, 0, 0)
            || a & 0xF0 == 0xF0
        {
            Denied::Reserved
        } else if address.is_private() && !self.allow_private {
            Denied::Private
        } else {
            return Ok(());
        };
        Err(denied)
    }

    fn check_v6(&self, address: Ipv6Addr) -> Result<(), Denied> {
        self.check_listed(address.into())?;
        let segments = address.segments();
        let first = segments[0];
        let denied = if address.is_loopback() {
            return if self.allow_loopback { Ok(()) } else { Err(Denied::Loopback) };
        } else if address.is_unspecified() {
            Denied::Unspecified
        } else if first & 0xFFC0 == 0xFE80 {
            Denied::LinkLocal
        } else if address.is_multicast() {
            Denied::Multicast
        } else if first & 0xFFC0 == 0xFEC0 || segments[..4] == [0x100, 0, 0, 0] || segments[..3] == [0x64, 0xff9b, 1] {
            // Site-local, discard, and translation prefixes of a network's own, whose form cannot be known.
            Denied::Reserved
        } else if first & 0xFE00 == 0xFC00 && !self.allow_private {
            Denied::Private
        } else {
            return Ok(());
        };
        Err(denied)
    }
}

/// The IPv4 addresses to which an IPv6 one may lead. IPv4-mapped ones are IPv4 addresses already.
fn embedded_v4(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // `::` and `::1` are no IPv4 addresses.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None, None],
        // IPv4-compatible and IPv4-translated; NAT64; 6to4; ISATAP below any prefix.
        [0, 0, 0, 0, 0 | 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..]
        | [.., 0 | 0x200, 0x5efe, high, low] => [v4(high, low), None],
        // Teredo: the server, and the client with inverted bits.
        [0x2001, 0, high, low, _, _, client_high, client_low] => [v4(high, low), v4(!client_high, !client_low)],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(host: &str) -> (bool, bool, bool) {
        let private = Guard { allow_private: true, ..Guard::default() };
        let checked = [Guard::default(), private, Guard::open()].map(|guard| guard.check_host(host).is_ok());
        (checked[0], checked[1], checked[2])
    }

    #[test]
    fn public_hosts_are_always_allowed() {
        for host in [
            "93.184.216.34",
            "2606:2800:220:1::1",
            "[2606:2800:220:1::1]",
            "db.example.com",
            "100.63.0.1",
            "64:ff9b::5db8:d822",
            "2002:5db8:d822::1",
            "::ffff:93.184.216.34",
            "168.63.129.17",
        ] {
            assert_eq!(allowed(host), (true, true, true), "{host}");
        }
    }

    #[test]
    fn private_addresses_need_the_flag_in_whatever_form_they_come() {
        for host in [
            "10.1.2.3",
            "172.16.0.9",
            "192.168.1.1",
            "fd12::1",
            "::ffff:10.1.2.3",
            "::10.1.2.3",
            "::ffff:0:10.1.2.3",
            "64:ff9b::a01:203",
            "2002:a01:203::1",
            "2606:2800:220:1:0:5efe:10.1.2.3",
            "2606:2800:220:1:200:5efe:10.1.2.3",
            // Teredo: private server, then private client.
            "2001:0:a01:203::f5f5:f5f5",
            "2001:0:5db8:d822:0:0:f5fe:fdfc",
        ] {
            assert_eq!(allowed(host), (false, true, true), "{host}");
        }
    }

    #[test]
    fn loopback_needs_its_own_flag() {
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "[::1]",
            "localhost",
            "LocalHost.",
            "x.localhost",
            "::ffff:127.0.0.1",
            "::7f00:1",
            "2002:7f00:1::",
            "64:ff9b::127.0.0.1",
            "2606:2800:220:1:0:5efe:7f00:1",
        ] {
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
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "ff02::1",
            "240.0.0.1",
            "255.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "198.18.0.1",
            "198.19.0.1",
            "192.0.0.192",
            "168.63.129.16",
            "::ffff:168.63.129.16",
            "64:ff9b::168.63.129.16",
            "2002:a83f:8110::1",
            "fd00:ec2::254",
            "fd00:ec2::254%1",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "fec0::1",
            "100::1",
            "64:ff9b:1::1",
            "64:ff9b:1:a9fe:a9:fe00::",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::f5f5:f5f5",
            "2001:0:5db8:d822:0:0:5601:5601",
            "fd12::5efe:a9fe:a9fe",
            "fd12::200:5efe:a9fe:a9fe",
            "metadata",
            "Metadata.Google.Internal.",
            "instance-data",
            "instance-data.ec2.internal",
        ] {
            assert_eq!(allowed(host), (false, false, false), "{host}");
        }
    }

    #[test]
    fn denied_ranges_are_refused_whatever_the_flags_and_in_every_form() {
        let denied =
            ["10.96.0.0/12", "fd99::/16", "93.184.216.34", "::ffff:10.200.0.0/112"].map(|t| t.parse().unwrap());
        let guard = Guard { denied: denied.into(), ..Guard::open() };
        for host in
            ["10.96.0.1", "::ffff:10.111.0.1", "64:ff9b::10.96.0.1", "fd99:1::1", "93.184.216.34", "10.200.255.1"]
        {
            assert_eq!(guard.check_host(host), Err(Denied::Listed), "{host}");
        }
        for host in ["10.95.255.255", "10.112.0.0", "fd98::1", "93.184.216.35", "10.201.0.0", "127.0.0.1"] {
            assert_eq!(guard.check_host(host), Ok(()), "{host}");
        }
        assert!("0.0.0.0/0".parse::<Cidr>().unwrap().contains("8.8.8.8".parse().unwrap()));
        assert!("::/0".parse::<Cidr>().unwrap().contains("2606::1".parse().unwrap()));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "x", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_public_servers_are_quoted_where_tenants_choose_addresses() {
        let tenants = Guard { allow_private: true, allow_loopback: true, ..Guard::default() };
        let quoted = |guard: &Guard, address: &str| guard.may_quote(address.parse().unwrap());
        for (address, by_tenants) in [
            ("93.184.216.34", true),
            ("10.0.0.1", false),
            ("fd12::1", false),
            ("::ffff:10.0.0.1", false),
            ("127.0.0.1", true),
            ("::1", true),
            ("127.0.0.2", false),
        ] {
            assert_eq!(quoted(&tenants, address), by_tenants, "{address}");
            assert!(quoted(&Guard::open(), address), "{address}");
        }
    }
}
