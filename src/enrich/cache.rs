//! What one worker remembers of addresses and user agents. Pure: a cache never changes a result.
//!
//! Direct-mapped and of fixed size: a newcomer takes the place of whoever had its slot, so a flood of new clients costs
//! look-ups and no memory.

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use super::agent::AgentClass;
use super::geo::Place;
use super::networks::SetIndex;

/// Addresses remembered: with 56 bytes each this stays in a core's second-level cache.
const ADDRESSES: usize = 4_096;
/// User agents remembered: busy sites see a few hundred in an hour.
const AGENTS: usize = 1_024;
/// Longer user agents are classified each time; they would let a flood fill the cache's slots with large texts.
const AGENT_BYTES_MAX: usize = 512;

/// The memory of one worker for one [`super::Enricher`] and its per-pipeline copies. Never to be shared between
/// enrichers of different settings: what it holds are their answers.
pub struct Cache {
    addresses: Box<[Option<KnownAddress>]>,
    agents: Box<[Option<KnownAgent>]>,
    hasher: foldhash::fast::FixedState,
}

/// An address with what is known of it.
type KnownAddress = (IpAddr, Facts);
/// The text of a user agent with its class.
type KnownAgent = (Box<str>, AgentClass);

/// All that depends on an address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) networks: SetIndex,
    pub(super) place: Place,
}

impl Cache {
    pub(super) fn new() -> Self {
        Cache {
            addresses: vec![None; ADDRESSES].into(),
            agents: vec![None; AGENTS].into(),
            hasher: foldhash::fast::FixedState::with_seed(0),
        }
    }

    pub(super) fn facts(&mut self, address: IpAddr, find: impl FnOnce() -> Facts) -> Facts {
        let slot = &mut self.addresses[slot_of(address)];
        match slot {
            Some((known, facts)) if *known == address => *facts,
            Some(_) | None => slot.insert((address, find())).1,
        }
    }

    pub(super) fn class(&mut self, text: &str, find: impl FnOnce() -> AgentClass) -> AgentClass {
        if text.len() > AGENT_BYTES_MAX {
            return find();
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text.as_bytes());
        let slot = &mut self.agents[hasher.finish() as usize % AGENTS];
        match slot {
            Some((known, class)) if **known == *text => *class,
            Some(_) | None => slot.insert((text.into(), find())).1,
        }
    }
}

/// Multiplicative hashing (Knuth) of both halves; the top bits are the good ones.
fn slot_of(address: IpAddr) -> usize {
    let bits = match address {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            (bits >> 64) as u64 ^ (bits as u64).rotate_left(29)
        }
    };
    (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - ADDRESSES.ilog2())) as usize
}
