//! Limits the rejected tokens per address, since each costs the API server a review.
//!
//! A token bucket per address; time comes in as a value. Callers behind a shared address are delayed only when their
//! decision is not cached.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Refused tokens that an address may bring at once.
const BURST: u32 = 10;
/// After this time it may bring one more.
const REFILL: Duration = Duration::from_secs(1);
/// Most addresses that are remembered.
const ADDRESSES: usize = 1024;

struct Refused {
    count: u32,
    since: Instant,
}

impl Refused {
    /// Refusals that still count.
    fn counted(&self, now: Instant) -> u32 {
        let forgiven = now.saturating_duration_since(self.since).as_secs() / REFILL.as_secs().max(1);
        self.count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }
}

/// Refused tokens by address.
#[derive(Default)]
pub(crate) struct Callers {
    refused: HashMap<IpAddr, Refused>,
}

/// IPv6 hosts choose the lower half of their address themselves.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

impl Callers {
    /// Whether the API server may be asked about one more unknown token of this address.
    pub(crate) fn may_ask(&self, address: IpAddr, now: Instant) -> bool {
        self.refused.get(&network(address)).is_none_or(|refused| refused.counted(now) < BURST)
    }

    /// Counts a token that the API server did not know.
    pub(crate) fn refused(&mut self, address: IpAddr, now: Instant) {
        let address = network(address);
        if self.refused.len() >= ADDRESSES && !self.refused.contains_key(&address) {
            self.refused.retain(|_, refused| refused.counted(now) > 0);
            let fewest = self.refused.iter().min_by_key(|(_, refused)| refused.counted(now)).map(|(of, _)| *of);
            if let Some(fewest) = fewest.filter(|_| self.refused.len() >= ADDRESSES) {
                self.refused.remove(&fewest);
            }
        }
        let refused = self.refused.entry(address).or_insert(Refused { count: 0, since: now });
        refused.count = refused.counted(now).saturating_add(1);
        refused.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_that_brings_random_tokens_has_to_wait_and_others_do_not() {
        let (mut callers, start) = (Callers::default(), Instant::now());
        let (attacker, other) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..BURST {
            assert!(callers.may_ask(attacker, start));
            callers.refused(attacker, start);
        }
        assert!(!callers.may_ask(attacker, start));
        assert!(!callers.may_ask(address("::ffff:192.0.2.1"), start), "the same address in another form");
        assert!(callers.may_ask(other, start));
        assert!(callers.may_ask(attacker, start + REFILL));
        callers.refused(attacker, start + REFILL);
        assert!(!callers.may_ask(attacker, start + REFILL));
    }

    #[test]
    fn a_network_of_addresses_counts_as_one_and_memory_is_bounded() {
        let (mut callers, now) = (Callers::default(), Instant::now());
        for host in 0..u128::from(BURST) {
            callers.refused(IpAddr::V6((0x2001_0db8_u128 << 96 | host).into()), now);
        }
        assert!(!callers.may_ask(address("2001:db8::ffff"), now));
        for host in 0..5000_u32 {
            callers.refused(IpAddr::V4(host.into()), now);
        }
        assert!(callers.refused.len() <= ADDRESSES);
        assert!(!callers.may_ask(address("2001:db8::1"), now), "those with the fewest refusals are forgotten first");
    }
}
