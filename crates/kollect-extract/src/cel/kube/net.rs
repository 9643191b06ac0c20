//! Addresses and networks.

use core::net::IpAddr;
use std::fmt;

/// An address as Kubernetes accepts it: no zone, and no IPv4 written as IPv6.
pub(super) fn parse_ip(text: &str) -> Option<IpAddr> {
    let ip: IpAddr = text.parse().ok()?;
    let mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    (!mapped).then_some(ip)
}

pub(super) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

pub(super) fn is_link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    }
}

pub(super) fn is_global_unicast(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !(broadcast || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || is_link_local(ip))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cel) struct Cidr {
    pub(super) ip: IpAddr,
    pub(super) length: u8,
}

impl Cidr {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (ip, length) = text.split_once('/')?;
        let ip = parse_ip(ip)?;
        let plain = length == "0" || !length.starts_with(['0', '+']);
        let length: u8 = length.parse().ok().filter(|_| plain)?;
        (length <= width(ip)).then_some(Self { ip, length })
    }

    /// The network without the bits of a host.
    pub(super) fn masked(self) -> Self {
        let ip = match self.ip {
            IpAddr::V4(v4) => {
                IpAddr::V4((v4.to_bits() & !u32::MAX.checked_shr(self.length.into()).unwrap_or(0)).into())
            }
            IpAddr::V6(v6) => {
                IpAddr::V6((v6.to_bits() & !u128::MAX.checked_shr(self.length.into()).unwrap_or(0)).into())
            }
        };
        Self { ip, ..self }
    }

    pub(super) fn contains(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.ip.is_ipv4() && Self { ip, ..self }.masked() == self.masked()
    }

    pub(super) fn contains_network(self, other: Self) -> bool {
        other.length >= self.length && self.contains(other.ip)
    }
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.length)
    }
}
