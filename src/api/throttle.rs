//! Counts failed proofs of identity per network and per key id. Pure.
//!
//! A right key always passes: a neighbour behind the same address must not be able to lock anybody out, and 256 bits cannot
//! be guessed at any rate. What the count ends is noise: after some failures in a minute the answer is "wait". Deliberately
//! without a clock.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::event::{MINUTE, Time};

use super::limits::{FAILURES_MAX, FAILURES_TRACKED_MAX};

/// Whose failures are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Counted {
    /// An IPv4 address, or the /64 of an IPv6 one.
    Network(IpAddr),
    Key(String),
    /// All for whom there is no room.
    Others,
}

/// Failures of the last minute or so.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    counts: HashMap<Counted, (Time, u32)>,
}

impl Throttle {
    /// Counts a failure; how many seconds to wait, where there were too many.
    pub fn failed(&mut self, peer: IpAddr, key_id: Option<&str>, now: Time) -> Option<u32> {
        let by_network = self.count(Counted::Network(network(peer)), now);
        let by_key = key_id.and_then(|id| self.count(Counted::Key(id.to_owned()), now));
        by_network.max(by_key)
    }

    fn count(&mut self, counted: Counted, now: Time) -> Option<u32> {
        let fresh = |(since, _): &(Time, u32)| (0..MINUTE).contains(&now.since(*since));
        if self.counts.len() >= FAILURES_TRACKED_MAX && !self.counts.contains_key(&counted) {
            self.counts.retain(|_, entry| fresh(entry));
        }
        let room = self.counts.len() < FAILURES_TRACKED_MAX || self.counts.contains_key(&counted);
        let entry = self.counts.entry(if room { counted } else { Counted::Others }).or_insert((now, 0));
        if !fresh(entry) {
            *entry = (now, 0);
        }
        entry.1 = entry.1.saturating_add(1);
        let left = MINUTE - now.since(entry.0);
        (entry.1 > FAILURES_MAX).then(|| u32::try_from(left.div_euclid(1_000) + 1).unwrap_or(60))
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_of_a_network_are_told_to_wait_and_forgotten() {
        let mut throttle = Throttle::default();
        let peer = |last: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, last, 0, 0, 1));
        let waits: Vec<_> = (0..12).map(|last| throttle.failed(peer(last), None, Time(i64::from(last)))).collect();
        assert_eq!(waits.iter().filter(|wait| wait.is_some()).count(), 2);
        assert_eq!(waits[11], Some(60));
        assert_eq!(throttle.failed("203.0.113.1".parse().unwrap(), None, Time(12)), None);
        assert_eq!(throttle.failed(peer(0), None, Time(MINUTE)), None);
    }

    #[test]
    fn one_key_tried_from_everywhere_is_counted_too() {
        let mut throttle = Throttle::default();
        let peer = |last: u8| IpAddr::from([203, 0, 113, last]);
        let waits = (0..20).map(|last| throttle.failed(peer(last), Some("abc"), Time(0)));
        assert_eq!(waits.filter(Option::is_some).count(), 10);
    }

    #[test]
    fn a_flood_of_networks_stays_bounded() {
        let mut throttle = Throttle::default();
        let flood = |n: u32| IpAddr::from(n.to_be_bytes());
        let told = (0..10_000).filter(|n| throttle.failed(flood(*n), None, Time(0)).is_some()).count();
        assert_eq!(told, 10_000 - FAILURES_TRACKED_MAX - FAILURES_MAX as usize);
        assert!(throttle.counts.len() <= FAILURES_TRACKED_MAX + 1);
        assert!(throttle.failed(flood(20_000), None, Time(1)).is_some());
    }
}
