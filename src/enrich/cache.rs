//! What one worker remembers of addresses and user agents. Pure: a cache never changes a result.
//!
//! Of fixed size, with two places for each key: a newcomer takes the place of whoever had its second one, so a flood of
//! new clients costs look-ups and no memory.

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use super::agent::AgentClass;
use super::geo::Place;
use super::networks::SetIndex;

/// Addresses remembered: with 40 bytes each this stays in a core's second-level cache.
const ADDRESSES: usize = 4_096;
/// User agents remembered: busy sites see a few hundred in an hour.
const AGENTS: usize = 2_048;
/// Longer user agents are classified each time; they would let a flood fill the cache with large texts.
const AGENT_BYTES_MAX: usize = 512;

const _: () = assert!(ADDRESSES.is_power_of_two() && AGENTS.is_power_of_two(), "slots are found by a mask");

/// The memory of one worker for one [`super::Enricher`] and its per-pipeline copies. Never to be shared between
/// enrichers of different settings: what it holds are their answers.
pub struct Cache {
    addresses: Slots<IpAddr, Facts>,
    agents: Slots<Box<str>, AgentClass>,
    hasher: foldhash::fast::FixedState,
}

/// All that depends on an address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) networks: SetIndex,
    pub(super) place: Place,
}

impl Cache {
    pub(super) fn new() -> Self {
        Cache {
            addresses: Slots::new(ADDRESSES),
            agents: Slots::new(AGENTS),
            hasher: foldhash::fast::FixedState::with_seed(0),
        }
    }

    pub(super) fn facts(&mut self, address: IpAddr, find: impl FnOnce() -> Facts) -> Facts {
        self.addresses.value(hash_of(address), |known| *known == address, || (address, find()))
    }

    pub(super) fn class(&mut self, text: &str, find: impl FnOnce() -> AgentClass) -> AgentClass {
        if text.len() > AGENT_BYTES_MAX {
            return find();
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text.as_bytes());
        self.agents.value(hasher.finish(), |known| **known == *text, || (text.into(), find()))
    }
}

/// A table whose keys may stand in either of two slots, so that two busy keys do not drive each other out for ever.
struct Slots<K, V> {
    slots: Box<[Option<(K, V)>]>,
}

impl<K, V: Copy> Slots<K, V> {
    /// `count` is a power of two.
    fn new(count: usize) -> Self {
        Slots { slots: std::iter::repeat_with(|| None).take(count).collect() }
    }

    fn value(&mut self, hash: u64, same: impl Fn(&K) -> bool, make: impl FnOnce() -> (K, V)) -> V {
        let mask = self.slots.len() - 1;
        let first = hash as usize & mask;
        let second = (hash >> 32) as usize & mask;
        for slot in [first, second] {
            if let Some((known, value)) = &self.slots[slot]
                && same(known)
            {
                return *value;
            }
        }
        let free = if self.slots[first].is_none() { first } else { second };
        self.slots[free].insert(make()).1
    }
}

/// Multiplicative hashing (Knuth); folding mixes the good upper bits into the lower half.
fn hash_of(address: IpAddr) -> u64 {
    let bits = match address {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            (bits >> 64) as u64 ^ (bits as u64).rotate_left(29)
        }
    };
    let product = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product.rotate_right(27)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_newcomers_takes_no_memory_and_no_answer_is_anothers() {
        let mut cache = Cache::new();
        for round in 0..3 {
            for number in 0..20_000u32 {
                let class = if number % 2 == 0 { AgentClass::Browser } else { AgentClass::Tool };
                assert_eq!(cache.class(&format!("agent/{number}"), || class), class, "round {round}");
            }
        }
        assert_eq!(cache.agents.slots.len(), AGENTS);
    }

    #[test]
    fn what_is_known_is_not_looked_up_again() {
        let mut cache = Cache::new();
        let facts = Facts { networks: SetIndex::default(), place: Place::default() };
        let mut look_ups = 0;
        for _ in 0..10 {
            for number in 0..500u32 {
                cache.facts(std::net::Ipv4Addr::from(0x0800_0000 + number).into(), || {
                    look_ups += 1;
                    facts
                });
            }
        }
        assert!(look_ups < 600, "{look_ups} look-ups of 500 addresses");
    }
}
