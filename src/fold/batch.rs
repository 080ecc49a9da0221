//! What ingest hands to decide at once: signals in journal order, and tallies. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::detect::window::InputIndex;
use crate::event::{Client, Input, Pack, ServiceIndex, Signal, Tally, Time};

/// Open tallies at most: a flood of a million clients within the lateness, some 130 bytes each. Beyond it new ones are
/// dropped and counted.
pub const TALLIES_MAX: usize = 1_000_000;

/// What one signal takes in a pack: most take 80, and one whose values are texts at their limit some 500.
const SIGNAL_BYTES: usize = 256;
/// What one tally takes in a pack.
const TALLY_BYTES: usize = 48;

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

/// So many tallies are held before equal ones are first added up: sorting a few is cheaper than looking each one up.
const UNSUMMED_MAX: usize = 4_096;

/// Tallies by second, client, service and input. They are added up when somebody asks for them, and before that
/// whenever there are twice as many as the last time.
#[derive(Clone, Debug, Default)]
pub(super) struct Tallies {
    list: Vec<(InputIndex, Tally)>,
    /// The first so many have distinct keys and are in order.
    summed: usize,
    pub(super) dropped: u64,
}

/// What tallies are added up by.
type Key = (i64, (u8, u128), ServiceIndex, InputIndex);

impl Batch {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.tallies.list.is_empty() && self.ends.is_empty()
    }

    /// About what its packs take, rather too much than too little.
    pub fn bytes(&self) -> usize {
        self.steps.len() * SIGNAL_BYTES + self.tallies.list.len() * TALLY_BYTES
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
        pack.tallies.into_iter().for_each(|tally| self.tallies.add(input, tally));
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
        (self.clone().take_sorted(), self.dropped).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tallies {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (list, dropped) = <(Vec<(InputIndex, Tally)>, u64)>::deserialize(deserializer)?;
        let mut tallies = Tallies { dropped, ..Tallies::default() };
        list.into_iter().for_each(|(input, tally)| tallies.add(input, tally));
        Ok(tallies)
    }
}

impl Tallies {
    /// How many there are, equal ones counted as often as they came since they were last added up.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds what an event or a tally of an input says.
    pub(super) fn add(&mut self, input: InputIndex, tally: Tally) {
        if self.list.len() >= (2 * self.summed).clamp(UNSUMMED_MAX, TALLIES_MAX) {
            self.sum_up();
        }
        let client = tally.client.map(|client| Client { address: client.key(), ..client });
        let tally = Tally { client, ..tally };
        if self.list.len() < TALLIES_MAX {
            return self.list.push((input, tally));
        }
        match self.list.binary_search_by_key(&key(input, &tally), |(input, tally)| key(*input, tally)) {
            Ok(known) => merge(&mut self.list[known].1, &tally),
            Err(_) => self.dropped += 1,
        }
    }

    /// Gives services the indexes of another catalog; those it does not know become its first.
    pub(super) fn rename_services(&mut self, name: impl Fn(ServiceIndex) -> Option<ServiceIndex>) {
        for (_, tally) in &mut self.list {
            tally.service = name(tally.service).unwrap_or_default();
        }
        self.summed = 0;
    }

    /// Adds equal ones up.
    pub(super) fn sum_up(&mut self) {
        if self.summed == self.list.len() {
            return;
        }
        // Tallies are larger than their keys: each is moved once.
        self.list.sort_by_cached_key(|(input, tally)| key(*input, tally));
        self.list.dedup_by(|(input, tally), (known_input, known)| {
            let same = key(*input, tally) == key(*known_input, known);
            if same {
                merge(known, tally);
            }
            same
        });
        self.summed = self.list.len();
    }

    /// All tallies in the order of second, client, service and input; the set is empty afterwards.
    pub(super) fn take_sorted(&mut self) -> Vec<(InputIndex, Tally)> {
        self.sum_up();
        self.summed = 0;
        let mut list = std::mem::take(&mut self.list);
        // Keys are in order already; what a client's standing adds to the order is known only now.
        let standing = |(input, tally): &(InputIndex, Tally)| {
            let (second, client, service, input) = key(*input, tally);
            (second, client, tally.client.map(|client| client.standing), service, input)
        };
        if !list.is_sorted_by_key(standing) {
            list.sort_by_cached_key(standing);
        }
        list
    }

    /// All tallies as they are; the set is empty afterwards and keeps its memory.
    pub(super) fn drain(&mut self) -> std::vec::Drain<'_, (InputIndex, Tally)> {
        self.summed = 0;
        self.list.drain(..)
    }
}

fn key(input: InputIndex, tally: &Tally) -> Key {
    (tally.second, address_order(tally.client), tally.service, input)
}

/// The order of addresses, absent ones first and IPv4 before IPv6, as numbers: comparing them costs next to nothing.
fn address_order(client: Option<Client>) -> (u8, u128) {
    match client.map(|client| client.address) {
        None => (0, 0),
        Some(IpAddr::V4(v4)) => (1, u128::from(v4.to_bits())),
        Some(IpAddr::V6(v6)) => (2, v6.to_bits()),
    }
}

/// A client that was once seen in a way that cannot be held against it stays so for this second.
fn merge(tally: &mut Tally, other: &Tally) {
    tally.counts.add(&other.counts);
    tally.first = tally.first.min(other.first);
    tally.last = tally.last.max(other.last);
    if let (Some(known), Some(new)) = (&mut tally.client, other.client) {
        known.standing = known.standing.max(new.standing);
    }
}
