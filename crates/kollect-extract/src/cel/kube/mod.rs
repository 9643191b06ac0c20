//! The value types of Kubernetes' CEL libraries: quantities, URLs, addresses, networks, versions and formats.
//!
//! Their JSON form is their text.

mod calls;
mod format;
mod net;
mod quantity;
mod semver;
mod url;

pub(super) use calls::register;

use cel::common::types::Type;
use cel::common::value::{StaticVal, Val};
use core::net::IpAddr;
use format::NamedFormat;
use net::Cidr;
use quantity::Quantity;
use semver::Semver;
use std::any::Any;
use std::fmt;
use url::Url;

static QUANTITY: Type = Type::new_unspecified_type("kubernetes.Quantity");
static URL: Type = Type::new_unspecified_type("kubernetes.URL");
static IP: Type = Type::new_unspecified_type("net.IP");
static CIDR: Type = Type::new_unspecified_type("net.CIDR");
static SEMVER: Type = Type::new_unspecified_type("kubernetes.Semver");
static FORMAT: Type = Type::new_unspecified_type("kubernetes.NamedFormat");

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kube {
    Quantity(Quantity),
    Url(Url),
    Ip(IpAddr),
    Cidr(Cidr),
    Semver(Semver),
    Format(NamedFormat),
}

impl fmt::Display for Kube {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantity(quantity) => quantity.fmt(f),
            Self::Url(url) => url.fmt(f),
            Self::Ip(ip) => ip.fmt(f),
            Self::Cidr(cidr) => cidr.fmt(f),
            Self::Semver(version) => version.fmt(f),
            Self::Format(format) => f.write_str(format.name()),
        }
    }
}

impl Val for Kube {
    fn get_type(&self) -> &Type {
        match self {
            Self::Quantity(_) => &QUANTITY,
            Self::Url(_) => &URL,
            Self::Ip(_) => &IP,
            Self::Cidr(_) => &CIDR,
            Self::Semver(_) => &SEMVER,
            Self::Format(_) => &FORMAT,
        }
    }
    /// Called only by macros of the library that are not used for this type.
    fn cel_type() -> &'static Type {
        &QUANTITY
    }
    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| other == self)
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Kube {}

#[cfg(test)]
mod tests;
