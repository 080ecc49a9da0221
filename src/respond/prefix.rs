//! Networks as targets, and sets of them that answer "does this overlap any of you". Pure.
//!
//! IPv4 lives in IPv6's mapped range, so that there is one kind of prefix and one order. A set answers in at most one
//! look-up per prefix length it holds, however many networks there are. It deliberately knows nothing of what a set
//! is for.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// Where the IPv4 addresses lie among the IPv6 ones (RFC 4291 §2.5.5.2).
const MAPPED: u128 = 0xffff << 32;
/// The bits of a mapped address before the IPv4 part.
const MAPPED_BITS: u8 = 96;
/// Lengths 0 to 128.
const LENGTHS: usize = 129;

/// A network in canonical form: no bit set beyond its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    start: u128,
    length: u8,
}

impl Prefix {
    /// What is blocked to block a client: its address, or the /64 of an IPv6 one (design §8.2).
    pub fn client(address: IpAddr) -> Prefix {
        match address.to_canonical() {
            IpAddr::V4(v4) => Prefix::new(MAPPED | u128::from(v4.to_bits()), 128),
            IpAddr::V6(v6) => Prefix::new(v6.to_bits(), 64),
        }
    }

    /// A network, canonical, with IPv4-mapped ones unwrapped.
    pub fn network(network: IpNet) -> Prefix {
        match network {
            IpNet::V4(v4) => Prefix::new(MAPPED | u128::from(v4.addr().to_bits()), MAPPED_BITS + v4.prefix_len()),
            IpNet::V6(v6) => Prefix::new(v6.addr().to_bits(), v6.prefix_len()),
        }
    }

    /// The same network as others write it.
    pub fn to_network(self) -> IpNet {
        let address = Ipv6Addr::from_bits(self.start);
        match (self.length.checked_sub(MAPPED_BITS), address.to_ipv4_mapped()) {
            (Some(length), Some(v4)) => IpNet::V4(Ipv4Net::new_assert(v4, length)),
            _ => IpNet::V6(Ipv6Net::new_assert(address, self.length)),
        }
    }

    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Prefix) -> bool {
        let mask = mask(self.length.min(other.length));
        self.start & mask == other.start & mask
    }

    /// Whether `address` lies within.
    pub fn contains(self, address: IpAddr) -> bool {
        let bits = match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        bits & mask(self.length) == self.start
    }

    fn new(address: u128, length: u8) -> Prefix {
        Prefix { start: address & mask(length), length }
    }

    fn last(self) -> u128 {
        self.start | !mask(self.length)
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

/// A CIDR: `203.0.113.9/32`, `2001:db8::/64`.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_network().fmt(f)
    }
}

impl FromStr for Prefix {
    type Err = ipnet::AddrParseError;

    fn from_str(text: &str) -> Result<Prefix, Self::Err> {
        text.parse().map(Prefix::network)
    }
}

impl Serialize for Prefix {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Prefix, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Networks, each with a value, found by overlap.
///
/// Written as a list of pairs in order; an IPv6 network so wide that it holds the mapped range covers IPv4 too, which
/// for a protected network errs on the side of not blocking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Vec<(Prefix, V)>", from = "Vec<(Prefix, V)>")]
#[serde(bound = "V: Clone + Serialize + serde::de::DeserializeOwned")]
pub(super) struct Prefixes<V> {
    networks: BTreeMap<Prefix, V>,
    /// How many there are of each length.
    lengths: [u32; LENGTHS],
}

impl<V> Prefixes<V> {
    pub(super) fn new() -> Prefixes<V> {
        Prefixes { networks: BTreeMap::new(), lengths: [0; LENGTHS] }
    }

    pub(super) fn len(&self) -> usize {
        self.networks.len()
    }

    pub(super) fn get(&self, network: Prefix) -> Option<&V> {
        self.networks.get(&network)
    }

    pub(super) fn insert(&mut self, network: Prefix, value: V) -> Option<V> {
        let before = self.networks.insert(network, value);
        if before.is_none() {
            self.lengths[usize::from(network.length)] += 1;
        }
        before
    }

    pub(super) fn remove(&mut self, network: Prefix) -> Option<V> {
        let before = self.networks.remove(&network);
        if before.is_some() {
            self.lengths[usize::from(network.length)] -= 1;
        }
        before
    }

    /// In order of the networks.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Prefix, &V)> {
        self.networks.iter().map(|(network, value)| (*network, value))
    }

    /// Those that have an address in common with `network`: first what holds it, then what lies within.
    pub(super) fn overlapping(&self, network: Prefix) -> impl Iterator<Item = (Prefix, &V)> {
        let wider = (0..network.length).filter(|length| self.lengths[usize::from(*length)] > 0);
        let holding = wider.map(move |length| Prefix::new(network.start, length));
        let holding = holding.filter_map(|prefix| self.networks.get_key_value(&prefix));
        let from = Prefix { start: network.start, length: network.length };
        let within = self.networks.range(from..=Prefix { start: network.last(), length: 128 });
        holding.chain(within).map(|(network, value)| (*network, value))
    }

    pub(super) fn overlap(&self, network: Prefix) -> bool {
        self.overlapping(network).next().is_some()
    }
}

impl<V> From<Vec<(Prefix, V)>> for Prefixes<V> {
    fn from(pairs: Vec<(Prefix, V)>) -> Prefixes<V> {
        let mut networks = Prefixes::new();
        for (network, value) in pairs {
            networks.insert(network, value);
        }
        networks
    }
}

impl<V> From<Prefixes<V>> for Vec<(Prefix, V)> {
    fn from(networks: Prefixes<V>) -> Vec<(Prefix, V)> {
        networks.networks.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect("a network")
    }

    #[test]
    fn networks_are_written_in_one_form() {
        for (text, canonical) in [
            ("203.0.113.9/32", "203.0.113.9/32"),
            ("203.0.113.9/24", "203.0.113.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::ffff:203.0.113.9/128", "203.0.113.9/32"),
            ("2001:db8::1/64", "2001:db8::/64"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(prefix(text).to_string(), canonical);
        }
    }

    #[test]
    fn a_client_is_its_address_or_its_64() {
        let client = |text: &str| Prefix::client(text.parse().expect("an address")).to_string();
        assert_eq!(client("203.0.113.9"), "203.0.113.9/32");
        assert_eq!(client("::ffff:203.0.113.9"), "203.0.113.9/32");
        assert_eq!(client("2001:db8::1:2:3:4"), "2001:db8::/64");
    }

    fn networks() -> impl Strategy<Value = Prefix> {
        // Few addresses and all lengths, so that overlaps are common.
        (0u32..64, 0u8..=32).prop_map(|(bits, length)| {
            Prefix::network(IpNet::V4(Ipv4Net::new_assert((bits << 26 | bits).into(), length)))
        })
    }

    proptest! {
        #[test]
        fn overlap_is_what_comparing_all_says(set in prop::collection::vec(networks(), 0..20), probe in networks()) {
            let prefixes = Prefixes::from(set.iter().map(|network| (*network, ())).collect::<Vec<_>>());
            let mut model: Vec<_> = set.into_iter().filter(|network| network.overlaps(probe)).collect();
            model.sort();
            model.dedup();
            let mut found: Vec<_> = prefixes.overlapping(probe).map(|(network, ())| network).collect();
            found.sort();
            prop_assert_eq!(found, model);
        }
    }
}
