//! A table with lists in order of age: look-up, touch and eviction of the oldest in constant time. Pure.
//!
//! The hash index is for look-up alone and never iterated; every order that can be seen is that of the lists. So two
//! tables are equal where their lists are, and a table is written and read as its lists. It deliberately has no limit
//! of its own: who owns a table knows when to evict and from which list.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

/// No slot.
const NONE: u32 = u32::MAX;

/// Entries by key, each in one of several lists, oldest first.
#[derive(Clone)]
pub(super) struct Table<K, V> {
    slots: Vec<Slot<K, V>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    lists: Vec<List>,
    hasher: FixedState,
}

/// Where an entry lies; good until the entry is removed.
pub(super) type Place = u32;

#[derive(Clone)]
struct Slot<K, V> {
    key: K,
    value: V,
    older: u32,
    newer: u32,
    list: u16,
}

#[derive(Clone)]
struct List {
    oldest: u32,
    newest: u32,
    length: usize,
}

impl<K: Copy + Eq + Hash, V: Copy> Table<K, V> {
    pub(super) fn new(lists: usize) -> Table<K, V> {
        let mut table = Table {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            lists: Vec::new(),
            hasher: FixedState::default(),
        };
        (0..lists).for_each(|_| table.add_list());
        table
    }

    pub(super) fn add_list(&mut self) {
        self.lists.push(List { oldest: NONE, newest: NONE, length: 0 });
    }

    /// How many entries there are in all.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// How many entries a list has.
    pub(super) fn list_len(&self, list: u16) -> usize {
        self.lists[usize::from(list)].length
    }

    /// Which list an entry is in.
    pub(super) fn list_of(&self, place: Place) -> u16 {
        self.slots[place as usize].list
    }

    pub(super) fn find(&self, key: &K) -> Option<Place> {
        let hash = self.hasher.hash_one(key);
        self.index.find(hash, |place| self.slots[*place as usize].key == *key).copied()
    }

    pub(super) fn value(&self, place: Place) -> &V {
        &self.slots[place as usize].value
    }

    pub(super) fn value_mut(&mut self, place: Place) -> &mut V {
        &mut self.slots[place as usize].value
    }

    /// Adds an entry as the newest of its list. The key must not be there.
    pub(super) fn insert(&mut self, key: K, value: V, list: u16) -> Place {
        let slot = Slot { key, value, older: NONE, newer: NONE, list };
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place as usize] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        let hash = self.hasher.hash_one(key);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, place, |place| hasher.hash_one(slots[*place as usize].key));
        self.link(place, list);
        place
    }

    /// Makes an entry the newest of `list`, which may be another than before.
    pub(super) fn touch(&mut self, place: Place, list: u16) {
        if self.slots[place as usize].list == list && self.lists[usize::from(list)].newest == place {
            return;
        }
        self.unlink(place);
        self.link(place, list);
    }

    /// Takes the oldest entry of a list out.
    pub(super) fn evict(&mut self, list: u16) -> Option<(K, V)> {
        let place = self.lists[usize::from(list)].oldest;
        if place == NONE {
            return None;
        }
        self.unlink(place);
        let Slot { key, value, .. } = self.slots[place as usize];
        if let Ok(entry) = self.index.find_entry(self.hasher.hash_one(key), |other| *other == place) {
            entry.remove();
        }
        self.free.push(place);
        Some((key, value))
    }

    /// The entries of a list, oldest first.
    pub(super) fn list(&self, list: u16) -> impl Iterator<Item = (K, V)> {
        let mut place = self.lists[usize::from(list)].oldest;
        std::iter::from_fn(move || {
            let slot = self.slots.get(place as usize)?;
            place = slot.newer;
            Some((slot.key, slot.value))
        })
    }

    fn lists(&self) -> impl Iterator<Item = impl Iterator<Item = (K, V)>> {
        (0..self.lists.len()).map(|list| self.list(list as u16))
    }

    fn link(&mut self, place: Place, list: u16) {
        let end = &mut self.lists[usize::from(list)];
        let before = std::mem::replace(&mut end.newest, place);
        end.length += 1;
        if before == NONE {
            end.oldest = place;
        } else {
            self.slots[before as usize].newer = place;
        }
        let slot = &mut self.slots[place as usize];
        (slot.older, slot.newer, slot.list) = (before, NONE, list);
    }

    fn unlink(&mut self, place: Place) {
        let Slot { older, newer, list, .. } = self.slots[place as usize];
        let list = &mut self.lists[usize::from(list)];
        list.length -= 1;
        match older {
            NONE => list.oldest = newer,
            _ => self.slots[older as usize].newer = newer,
        }
        match newer {
            NONE => list.newest = older,
            _ => self.slots[newer as usize].older = older,
        }
    }
}

impl<K: Copy + Eq + Hash, V: Copy + PartialEq> PartialEq for Table<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.lists.len() == other.lists.len() && self.lists().zip(other.lists()).all(|(a, b)| a.eq(b))
    }
}

impl<K: Copy + Eq + Hash + Serialize, V: Copy + Serialize> Serialize for Table<K, V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.lists().map(|list| list.collect::<Vec<_>>()))
    }
}

impl<'de, K, V> Deserialize<'de> for Table<K, V>
where
    K: Copy + Eq + Hash + Deserialize<'de>,
    V: Copy + Deserialize<'de>,
{
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let lists = Vec::<Vec<(K, V)>>::deserialize(deserializer)?;
        let mut table = Table::new(lists.len());
        for (list, entries) in lists.into_iter().enumerate() {
            for (key, value) in entries {
                if table.find(&key).is_some() {
                    return Err(serde::de::Error::custom("a key stands in the table twice"));
                }
                table.insert(key, value, list as u16);
            }
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_lists_in_order_of_age(steps in prop::collection::vec((0u8..12, 0u16..2, 0u8..4), 0..200)) {
            let mut table = Table::<u8, u8>::new(2);
            let mut model: [Vec<(u8, u8)>; 2] = [Vec::new(), Vec::new()];
            for (key, list, kind) in steps {
                let target = usize::from(list);
                if kind == 0 {
                    let oldest = (!model[target].is_empty()).then(|| model[target].remove(0));
                    prop_assert_eq!(table.evict(list), oldest);
                    continue;
                }
                model.iter_mut().for_each(|entries| entries.retain(|(other, _)| *other != key));
                model[target].push((key, key));
                match table.find(&key) {
                    Some(place) => table.touch(place, list),
                    None => drop(table.insert(key, key, list)),
                }
            }
            for list in 0..2u16 {
                prop_assert_eq!(&table.list(list).collect::<Vec<_>>(), &model[usize::from(list)]);
                prop_assert_eq!(table.list_len(list), model[usize::from(list)].len());
            }
            let text = serde_json::to_string(&table).expect("it can be written");
            let back: Table<u8, u8> = serde_json::from_str(&text).expect("it can be read");
            prop_assert!(back == table);
        }
    }
}
