//! All windows of all rules: a bounded table of keys. Pure.
//!
//! A slab in arrival order with a hash index beside it: the index is only ever looked up, so its order cannot be seen.
//! When the table is full, the key of least worth among a few scattered ones makes room: a flood of new keys pushes out
//! itself, not an attack that is half detected (law 6). Scattered, because neighbours in the slab arrived together.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use crate::detect::plan::{BUCKETS, Plan};
use crate::event::{HOUR, ServiceIndex, Value};

use super::entry::{Arrival, Entry, Firing, bucket_of};

/// Keys over all rules: a million active clients under one rule, some 300 bytes each.
pub const KEYS_MAX: usize = 1_000_000;
/// What all keys together may take. A key that counts once takes some 400 bytes, one that counts accounts of 256 bytes
/// or thousands of paths takes 10,000 and more: without this limit whoever owns an IPv6 /48 fills any machine.
pub const BYTES_MAX: usize = 512 * 1024 * 1024;
/// How many keys are weighed for each one that makes room: the chance that all of them are worth keeping falls with the
/// power of this number, the cost grows with it.
const WEIGHED: usize = 8;
/// How many keys each new key looks at for empty windows, so that the table shrinks while it is used.
const SWEPT: usize = 2;

/// A key is dropped only this long after its window emptied: no event may be so late (grace 10 min) or so early
/// (future 5 min) that it would still have met the key, so the sweep cannot be seen in any result.
const SWEEP_SLACK: i64 = HOUR;

/// Windows by rule and key.
#[derive(Clone, Debug)]
pub struct Table {
    slab: Vec<Option<Entry>>,
    free: Vec<u32>,
    hand: usize,
    picks: u64,
    index: HashTable<u32>,
    hasher: foldhash::fast::FixedState,
    keys_max: usize,
    bytes_max: usize,
    counters: TableCounters,
}

/// What happened to keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCounters {
    /// Keys now.
    pub keys: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// Keys that made room for new ones although their windows were not empty.
    pub evicted: u64,
    /// Arrivals older than their key's window.
    pub behind: u64,
}

/// The part of a [`Table`] that is state: everything else follows from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    slab: Vec<Option<Entry>>,
    free: Vec<u32>,
    hand: usize,
    picks: u64,
    counters: TableCounters,
}

impl Table {
    /// An empty table. `seed` keeps an attacker from choosing colliding keys; it cannot be seen in any result.
    pub fn new(keys_max: usize, seed: u64) -> Table {
        Table::bounded(keys_max, BYTES_MAX, seed)
    }

    /// An empty table with a limit of its own for what all keys may take, in bytes.
    pub fn bounded(keys_max: usize, bytes_max: usize, seed: u64) -> Table {
        Table {
            slab: Vec::new(),
            free: Vec::new(),
            hand: 0,
            picks: 0,
            index: HashTable::new(),
            hasher: foldhash::fast::FixedState::with_seed(seed),
            keys_max,
            bytes_max,
            counters: TableCounters::default(),
        }
    }

    /// Counters so far.
    pub fn counters(&self) -> TableCounters {
        self.counters
    }

    /// Takes an arrival into the window of its key; where the rule's condition is met, says what the window holds and
    /// gives the key's entry.
    pub fn add(
        &mut self,
        plans: &[Plan],
        plan: u16,
        group: &[Value],
        arrival: &Arrival<'_>,
    ) -> Option<(Firing, &Entry)> {
        while self.counters.bytes > self.bytes_max as u64 && self.counters.keys > 0 {
            self.evict();
        }
        let hash = self.hash(plan, group);
        let found = self.find(hash, plan, group);
        let slot = found.unwrap_or_else(|| self.insert(plans, hash, plan, (group, arrival)));
        let entry = self.slab[slot as usize].as_mut()?;
        let before = entry.bytes() as u64;
        let added = entry.add(&plans[plan as usize], arrival);
        self.counters.bytes = self.counters.bytes - before + entry.bytes() as u64;
        let Some(firing) = added else {
            self.counters.behind += 1;
            return None;
        };
        let entry = self.slab[slot as usize].as_ref()?;
        firing.map(|firing| (firing, entry))
    }

    /// Reads the whole entry of a key, so that it is near. The number says nothing.
    pub fn look_ahead(&self, plan: u16, group: &[Value]) -> u64 {
        let slot = self.find(self.hash(plan, group), plan, group);
        slot.and_then(|slot| self.slab[slot as usize].as_ref()).map_or(0, Entry::look_ahead)
    }

    /// Gives plans and services the indexes of another catalog, and forgets the keys of plans that are not in it.
    pub fn rename(
        &mut self,
        plan: &dyn Fn(u16) -> Option<u16>,
        service: &dyn Fn(ServiceIndex) -> Option<ServiceIndex>,
    ) {
        let mut gone = Vec::new();
        for (slot, entry) in self.slab.iter_mut().enumerate() {
            let Some(entry) = entry else { continue };
            match plan(entry.plan) {
                Some(plan) => {
                    entry.plan = plan;
                    entry.service = service(entry.service).unwrap_or_default();
                }
                None => gone.push(slot as u32),
            }
        }
        self.index.clear();
        for slot in 0..self.slab.len() as u32 {
            if let Some(entry) = &self.slab[slot as usize] {
                self.link(self.hash(entry.plan, &entry.group), slot);
            }
        }
        gone.into_iter().for_each(|slot| self.remove(slot));
    }

    /// The state, to be written to a snapshot.
    pub fn save(&self) -> Saved {
        let Table { slab, free, hand, picks, counters, .. } = self.clone();
        Saved { slab, free, hand, picks, counters }
    }

    /// The table that [`Table::save`] described.
    pub fn restore(saved: Saved, keys_max: usize, seed: u64) -> Table {
        let mut table = Table::new(keys_max, seed);
        table.slab = saved.slab;
        table.free = saved.free;
        table.hand = saved.hand;
        table.picks = saved.picks;
        table.counters = saved.counters;
        for slot in 0..table.slab.len() {
            if let Some(entry) = &table.slab[slot] {
                let hash = table.hash(entry.plan, &entry.group);
                table.link(hash, slot as u32);
            }
        }
        table
    }

    fn hash(&self, plan: u16, group: &[Value]) -> u64 {
        self.hasher.hash_one((plan, group))
    }

    fn find(&self, hash: u64, plan: u16, group: &[Value]) -> Option<u32> {
        let same = |slot: &u32| {
            let entry = self.slab[*slot as usize].as_ref();
            entry.is_some_and(|entry| entry.plan == plan && *entry.group == *group)
        };
        self.index.find(hash, same).copied()
    }

    fn insert(&mut self, plans: &[Plan], hash: u64, plan: u16, (group, arrival): (&[Value], &Arrival<'_>)) -> u32 {
        self.sweep(plans, arrival);
        if self.counters.keys as usize >= self.keys_max {
            self.evict();
        }
        let entry = Entry::new(plan, &plans[plan as usize], group.into(), arrival);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slab.push(None);
                (self.slab.len() - 1) as u32
            }
        };
        self.counters.bytes += entry.bytes() as u64;
        self.slab[slot as usize] = Some(entry);
        self.link(hash, slot);
        self.counters.keys += 1;
        slot
    }

    fn link(&mut self, hash: u64, slot: u32) {
        let (slab, hasher) = (&self.slab, &self.hasher);
        self.index.insert_unique(hash, slot, |slot| match &slab[*slot as usize] {
            Some(entry) => hasher.hash_one((entry.plan, &*entry.group)),
            None => 0,
        });
    }

    /// Looks at the next few keys and drops those whose windows are long empty.
    fn sweep(&mut self, plans: &[Plan], arrival: &Arrival<'_>) {
        for _ in 0..SWEPT.min(self.slab.len()) {
            self.hand = (self.hand + 1) % self.slab.len();
            let empty = |entry: &Entry| {
                let plan = &plans[entry.plan as usize];
                bucket_of(plan, arrival.time.plus(-SWEEP_SLACK)) - entry.newest() > BUCKETS as i64
            };
            if self.slab[self.hand].as_ref().is_some_and(empty) {
                self.remove(self.hand as u32);
            }
        }
    }

    fn evict(&mut self) {
        let mut least: Option<((bool, u64, i64), usize)> = None;
        let mut weighed = 0;
        while weighed < WEIGHED.min(self.counters.keys as usize) {
            self.picks += 1;
            let slot = (scatter(self.picks) % self.slab.len() as u64) as usize;
            let Some(entry) = &self.slab[slot] else { continue };
            weighed += 1;
            let candidate = (entry.worth(), slot);
            least = Some(least.map_or(candidate, |least| least.min(candidate)));
        }
        if let Some((_, slot)) = least {
            self.remove(slot as u32);
            self.counters.evicted += 1;
        }
    }

    fn remove(&mut self, slot: u32) {
        let Some(entry) = self.slab[slot as usize].take() else { return };
        let hash = self.hash(entry.plan, &entry.group);
        if let Ok(found) = self.index.find_entry(hash, |other| *other == slot) {
            found.remove();
        }
        self.free.push(slot);
        self.counters.keys -= 1;
        self.counters.bytes -= entry.bytes() as u64;
    }
}

/// The n-th pick: the finaliser of splitmix64, so that picks are spread over the slab and still follow from the state.
fn scatter(pick: u64) -> u64 {
    let mixed = (pick.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (pick >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use crate::detect::plan::PlanKind;
    use crate::detect::rule::Comparison;
    use crate::detect::window::InputIndex;
    use crate::event::{EntityKind, Field, Place, RuleIndex, ServiceIndex, Time};

    use super::*;

    fn plan() -> Plan {
        Plan {
            rule: RuleIndex(0),
            kind: PlanKind::Distinct,
            group_by: vec![Field::of("user.name")],
            value: Some(Field::of("url.path")),
            timespan: 60_000,
            condition: vec![(Comparison::AtLeast, 1e9)],
            events_min: 0,
            entity: EntityKind::User,
            after: None,
        }
    }

    fn add(table: &mut Table, key: i64, value: &str) {
        let value = Value::Text(value.into());
        let arrival = Arrival {
            input: InputIndex(0),
            time: Time(1_000),
            count: 1,
            sum: 0,
            value: Some(&value),
            client: None,
            service: ServiceIndex(0),
            first: Place::default(),
            last: Place::default(),
            before: &[],
        };
        table.add(std::slice::from_ref(&plan()), 0, &[Value::Number(key)], &arrival);
    }

    fn weighed(table: &Table) -> u64 {
        table.slab.iter().flatten().map(|entry| entry.bytes() as u64).sum()
    }

    #[test]
    fn keys_with_long_values_stay_within_the_bytes() {
        const LIMIT: u64 = 1_000_000;
        const ONE_KEY: u64 = 20_000;
        let mut table = Table::bounded(1_000_000, LIMIT as usize, 0);
        for number in 0..40_000i64 {
            add(&mut table, number % 400, &format!("{number:0>256}"));
            assert!(table.counters.bytes <= LIMIT + ONE_KEY);
        }
        assert_eq!(table.counters.bytes, weighed(&table));
        let mut one = Table::new(10, 0);
        add(&mut one, 1, "");
        assert!(one.counters.bytes < 512, "a key that counts once takes {}", one.counters.bytes);
        assert!(table.counters.evicted > 100);
        let restored = Table::restore(table.save(), 1_000_000, 7);
        assert_eq!(restored.counters.bytes, weighed(&restored));
    }
}
