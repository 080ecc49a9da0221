//! The networks that operators allow while running. Pure.
//!
//! Built from the answers, which are the book of who ordered what. Deliberately without the networks of the settings:
//! those are the node's to tell.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Serialize;

use crate::event::{Answer, AnswerResult, Order, Time};

use super::network::{canonical, overlap};

/// Networks allowed at a time; decide itself takes 100,000. Beyond it a network is not listed, and counted.
pub const ALLOWED_KEPT_MAX: usize = 100_000;

/// One allowed network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Allowed {
    pub network: IpNet,
    pub by: String,
    pub at: Time,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// All of them.
#[derive(Default)]
pub struct Allowlist {
    allowed: BTreeMap<IpNet, Allowed>,
    /// Networks that found no room.
    pub dropped: u64,
}

impl Allowlist {
    pub(super) fn insert(&mut self, allowed: Allowed) {
        let network = canonical(allowed.network);
        if self.allowed.len() >= ALLOWED_KEPT_MAX && !self.allowed.contains_key(&network) {
            self.dropped += 1;
            return;
        }
        self.allowed.insert(network, Allowed { network, ..allowed });
    }

    pub(super) fn apply(&mut self, answer: &Answer) {
        let AnswerResult::Done { .. } = answer.result else { return };
        match &answer.order {
            Order::Allow { networks, reason } => {
                for network in networks {
                    let (by, reason) = (answer.by.clone(), reason.clone());
                    self.insert(Allowed { network: *network, by, at: answer.at, reason });
                }
            }
            Order::Disallow { networks } => networks.iter().for_each(|network| {
                self.allowed.remove(&canonical(*network));
            }),
            Order::Block { .. } | Order::Lift { .. } | Order::Thaw => {}
        }
    }

    /// All in order, behind `after`.
    pub fn after(&self, after: Option<IpNet>) -> impl Iterator<Item = &Allowed> {
        let begin = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.allowed.range((begin, std::ops::Bound::Unbounded)).map(|(_, allowed)| allowed)
    }

    /// Those that have an address in common with this network.
    pub fn overlapping(&self, network: IpNet) -> impl Iterator<Item = &Allowed> {
        self.allowed.values().filter(move |allowed| overlap(allowed.network, network))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.allowed.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.allowed.is_empty()
    }
}
