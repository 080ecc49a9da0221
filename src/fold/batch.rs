//! What ingest hands to decide at once: signals in journal order, and tallies. Pure.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use crate::detect::window::InputIndex;
use crate::event::{Client, Counts, Input, Pack, Place, ServiceIndex, Signal, Tally, Time};

/// Open tallies at most: a flood of a million clients within the lateness, some 130 bytes each. Beyond it new ones are
/// dropped and counted.
pub const TALLIES_MAX: usize = 1_000_000;

/// Signals and tallies of a run of records, over any number of inputs.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In journal order (replay: in merge order over all inputs).
    pub(super) steps: Vec<(InputIndex, Signal)>,
    pub(super) tallies: Tallies,
    /// How far each input is at the end of the batch.
    pub(super) ends: BTreeMap<InputIndex, End>,
}

/// How far an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) from: u64,
    pub(super) to: u64,
    /// The journal's time of the newest event.
    pub(super) appended_at: Time,
    pub(super) high: Option<Time>,
    /// The journal's time up to which nothing more came.
    pub(super) quiet_until: Option<Time>,
}

/// Tallies by second, client, service and input.
#[derive(Clone, Debug, Default)]
pub(super) struct Tallies {
    list: Vec<(InputIndex, Tally)>,
    index: HashTable<u32>,
    hasher: foldhash::fast::FixedState,
    pub(super) dropped: u64,
}

/// What one event adds, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) input: InputIndex,
    pub(super) second: i64,
    pub(super) client: Option<Client>,
    pub(super) service: ServiceIndex,
    pub(super) counts: Counts,
    pub(super) first: Place,
    pub(super) last: Place,
}

impl Batch {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.tallies.list.is_empty() && self.ends.is_empty()
    }

    /// The packs that carry this batch, one per input, in input order; the batch is empty afterwards. The order of
    /// signals between inputs is the order in which the journal takes the packs.
    pub fn take_packs(&mut self, inputs: &[Input], catalog: crate::event::CatalogHash) -> Vec<Pack> {
        let mut packs = BTreeMap::new();
        for (input, end) in std::mem::take(&mut self.ends) {
            let named = inputs[input.0 as usize].clone();
            let End { from, to, appended_at, high, quiet_until: _ } = end;
            let (signals, tallies) = (Vec::new(), Vec::new());
            packs.insert(input, Pack { input: named, from, to, appended_at, high, catalog, signals, tallies });
        }
        for (input, signal) in self.steps.drain(..) {
            packs.entry(input).and_modify(|pack| pack.signals.push(signal));
        }
        for (input, tally) in self.tallies.take_sorted() {
            packs.entry(input).and_modify(|pack| pack.tallies.push(tally));
        }
        packs.into_values().collect()
    }

    /// Adds a pack of an input.
    pub fn push_pack(&mut self, input: InputIndex, pack: Pack) {
        self.steps.extend(pack.signals.into_iter().map(|signal| (input, signal)));
        for tally in pack.tallies {
            let Tally { second, client, service, counts, first, last } = tally;
            self.tallies.add(Share { input, second, client, service, counts, first, last });
        }
        let known = self.ends.get(&input).copied();
        let merged = if pack.from < pack.to {
            let from = known.map_or(pack.from, |known| known.from);
            End { from, to: pack.to, appended_at: pack.appended_at, high: pack.high, quiet_until: None }
        } else {
            let (from, to, appended_at) = (pack.from, pack.to, pack.appended_at);
            let end = known.unwrap_or(End { from, to, appended_at, high: None, quiet_until: None });
            End { quiet_until: Some(appended_at), ..end }
        };
        self.ends.insert(input, merged);
    }
}

/// Two sets are equal when they hold the same sums.
impl PartialEq for Tallies {
    fn eq(&self, other: &Self) -> bool {
        self.clone().take_sorted() == other.clone().take_sorted() && self.dropped == other.dropped
    }
}

impl Serialize for Tallies {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.list, self.dropped).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tallies {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (list, dropped) = <(Vec<(InputIndex, Tally)>, u64)>::deserialize(deserializer)?;
        let mut tallies = Tallies { dropped, ..Tallies::default() };
        list.into_iter().for_each(|(input, tally)| tallies.add_tally(input, &tally));
        Ok(tallies)
    }
}

impl Tallies {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds a tally of an input.
    pub(super) fn add_tally(&mut self, input: InputIndex, tally: &Tally) {
        let Tally { second, client, service, counts, first, last } = *tally;
        self.add(Share { input, second, client, service, counts, first, last });
    }

    /// Adds what an event or a tally says to the sum of its second, client, service and input.
    pub(super) fn add(&mut self, share: Share) {
        let hash = self.hasher.hash_one((share.second, share.client.map(|c| c.key()), share.service, share.input));
        let list = &mut self.list;
        let same = |slot: &u32| {
            let (input, tally) = &list[*slot as usize];
            *input == share.input
                && tally.second == share.second
                && tally.service == share.service
                && tally.client.map(|c| c.key()) == share.client.map(|c| c.key())
        };
        if let Some(slot) = self.index.find(hash, same).copied() {
            merge(&mut list[slot as usize].1, &share);
            return;
        }
        if list.len() >= TALLIES_MAX {
            self.dropped += 1;
            return;
        }
        let Share { input, second, client, service, counts, first, last } = share;
        let client = client.map(|client| Client { address: client.key(), ..client });
        list.push((input, Tally { second, client, service, counts, first, last }));
        let hasher = &self.hasher;
        self.index.insert_unique(hash, (list.len() - 1) as u32, |slot| {
            let (input, tally) = &list[*slot as usize];
            hasher.hash_one((tally.second, tally.client.map(|c| c.key()), tally.service, *input))
        });
    }

    /// All tallies in the order of second, client, service and input; the set is empty afterwards.
    pub(super) fn take_sorted(&mut self) -> Vec<(InputIndex, Tally)> {
        self.index.clear();
        let mut list = std::mem::take(&mut self.list);
        list.sort_unstable_by_key(|(input, tally)| (tally.second, tally.client, tally.service, *input));
        list
    }

    /// All tallies as they came; the set is empty afterwards and keeps its memory.
    pub(super) fn drain(&mut self) -> std::vec::Drain<'_, (InputIndex, Tally)> {
        self.index.clear();
        self.list.drain(..)
    }
}

/// A client that was once seen in a way that cannot be held against it stays so for this second.
fn merge(tally: &mut Tally, share: &Share) {
    tally.counts.add(&share.counts);
    tally.first = tally.first.min(share.first);
    tally.last = tally.last.max(share.last);
    if let (Some(known), Some(new)) = (&mut tally.client, share.client) {
        known.standing = known.standing.max(new.standing);
    }
}
