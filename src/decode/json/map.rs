//! The field map compiled into a trie of keys: path in the object → fields. Pure.
//!
//! Nested objects and dotted keys walk the same nodes. Deliberately without a look at values: how they are read is
//! in [`super::convert`].

use std::collections::BTreeSet;

use crate::decode::{Keep, Target, Unit};
use crate::event::Field;
use crate::event::field::{ADDRESS_NAMES, NUMBER_NAMES, TEXT_NAMES};

/// Starts of names that no log line may set by itself: what the engine concludes, and the raw line. A field map that
/// names such a key sends it where it says.
const RESERVED: [&str; 6] = ["sekisho.", "client.", "event.kind", "event.module", "event.dataset", "event.original"];

/// A compiled field map.
#[derive(Debug)]
pub(super) struct FieldMap {
    nodes: Vec<Node>,
    leaves: Vec<Leaf>,
    /// Whether keys that are not in the map are kept.
    keep_all: bool,
    /// What stands before the names of kept keys, with its dot.
    prefix: String,
    /// Whether any path is required.
    requires: bool,
}

/// One key of a path.
#[derive(Debug, Default)]
pub(super) struct Node {
    children: Table,
    /// The fields this path goes to, as indices of leaves.
    pub(super) leaves: Vec<usize>,
    pub(super) required: bool,
}

/// One entry of the field map.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) target: Target,
    /// The target's dotted name.
    pub(super) name: String,
    /// Set for fields that say when it began or ended.
    pub(super) moment: Option<Moment>,
    /// Whether the field itself is kept; a moment counts for the duration all the same.
    pub(super) kept: bool,
    /// Leaves of the same field that stand before this one in the map; where they gave a value, this one is silent.
    pub(super) before: Vec<usize>,
}

/// Fields without a slot that hold a time which others follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Start,
    End,
}

impl FieldMap {
    /// Compiles entries; without a `rest` prefix, keys that are ECS names themselves go to their fields.
    pub(super) fn new(fields: &[(String, Target)], rest: Option<&str>, keep: &Keep) -> FieldMap {
        let prefix = rest.map(|rest| format!("{}.", rest.trim_end_matches('.'))).unwrap_or_default();
        let keep_all = matches!(keep, Keep::All);
        let mut map = FieldMap { nodes: vec![Node::default()], leaves: Vec::new(), keep_all, prefix, requires: false };
        for (path, target) in fields {
            map.insert(path, target, keep);
        }
        if rest.is_none() {
            map.insert_own_names(keep);
        }
        if let Keep::Named(names) = keep {
            map.insert_wanted(names, keep);
        }
        map
    }

    /// Marks a path as required.
    pub(super) fn require(&mut self, path: &str) {
        let node = self.make(path);
        self.nodes[node].required = true;
        self.requires = true;
    }

    /// Whether any path is required.
    pub(super) fn requires(&self) -> bool {
        self.requires
    }

    /// Whether keys that are not in the map are kept.
    pub(super) fn keeps_all(&self) -> bool {
        self.keep_all
    }

    /// What stands before the names of kept keys.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether a line may set a field of this name.
    pub(super) fn allows(name: &str) -> bool {
        !RESERVED.iter().any(|reserved| name.starts_with(reserved))
    }

    /// The node of the outermost object.
    pub(super) fn root(&self) -> usize {
        0
    }

    /// A node by its index.
    pub(super) fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// A leaf by its index.
    pub(super) fn leaf(&self, index: usize) -> &Leaf {
        &self.leaves[index]
    }

    /// The node of `key` below `node`; a key with dots walks several.
    #[inline]
    pub(super) fn child(&self, node: usize, key: &str) -> Option<usize> {
        self.nodes[node].children.get(key).or_else(|| self.dotted(node, key))
    }

    fn dotted(&self, mut node: usize, key: &str) -> Option<usize> {
        memchr::memchr(b'.', key.as_bytes())?;
        for part in key.split('.') {
            node = self.nodes[node].children.get(part)?;
        }
        Some(node)
    }

    fn insert(&mut self, path: &str, target: &Target, keep: &Keep) {
        let node = self.make(path);
        let name = target.field.name().to_owned();
        let moments = [("event.start", Moment::Start), ("event.end", Moment::End)];
        let moment = moments.into_iter().find(|(field, _)| *field == name).map(|(_, moment)| moment);
        let kept = !matches!(target.field, Field::Extra(_)) || keeps(keep, &name);
        if !kept && moment.is_none() {
            return;
        }
        let same = |leaf: &Leaf| leaf.target.field == target.field;
        let before = (0..self.leaves.len()).filter(|index| same(&self.leaves[*index])).collect();
        self.nodes[node].leaves.push(self.leaves.len());
        self.leaves.push(Leaf { target: target.clone(), name, moment, kept, before });
    }

    fn insert_own_names(&mut self, keep: &Keep) {
        let texts = TEXT_NAMES.iter().map(|(_, name)| *name).chain(NUMBER_NAMES.iter().map(|(_, name)| *name));
        let addresses = ADDRESS_NAMES.iter().map(|(_, name)| *name);
        let others = ["@timestamp", "event.category", "event.type", "tags", "event.start", "event.end"];
        for name in texts.chain(addresses).chain(others).filter(|name| Self::allows(name)) {
            self.insert_new(name, Field::of(name), keep);
        }
    }

    fn insert_wanted(&mut self, names: &BTreeSet<String>, keep: &Keep) {
        for name in names {
            let path = name.strip_prefix(&self.prefix).map(str::to_owned);
            let own = self.prefix.is_empty() && !Self::allows(name);
            if let (Some(path), field @ Field::Extra(_), false) = (path, Field::of(name), own) {
                self.insert_new(&path, field, keep);
            }
        }
    }

    /// Inserts a field under a path that the map itself does not send elsewhere.
    fn insert_new(&mut self, path: &str, field: Field, keep: &Keep) {
        let node = self.make(path);
        if self.nodes[node].leaves.is_empty() {
            self.insert(path, &Target { field, unit: Unit::AsIs, values: Vec::new() }, keep);
        }
    }

    fn make(&mut self, path: &str) -> usize {
        let mut node = 0;
        for part in path.split('.') {
            node = match self.nodes[node].children.get(part) {
                Some(child) => child,
                None => {
                    self.nodes.push(Node::default());
                    let child = self.nodes.len() - 1;
                    self.nodes[node].children.insert(part, child);
                    child
                }
            };
        }
        node
    }
}

/// Whether a field without a slot is kept.
pub(super) fn keeps(keep: &Keep, name: &str) -> bool {
    match keep {
        Keep::All => true,
        Keep::Named(names) => names.contains(name),
    }
}

/// Keys → nodes by open addressing, at most a quarter full. A key of up to 16 bytes is known whole by its first and last
/// eight, so a look-up compares words and calls nothing. The keys are the map's own: nobody can aim at a slot.
#[derive(Debug, Default)]
struct Table {
    slots: Vec<Slot>,
    filled: usize,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    brief: Brief,
    node: usize,
    /// Empty in a free slot.
    key: Box<str>,
}

impl Table {
    #[inline]
    fn get(&self, key: &str) -> Option<usize> {
        if self.slots.is_empty() || key.is_empty() {
            return None;
        }
        let brief = Brief::of(key.as_bytes());
        let mask = self.slots.len() - 1;
        let mut at = brief.spread() & mask;
        loop {
            let slot = &self.slots[at];
            if slot.brief == brief && (key.len() <= 16 || *slot.key == *key) {
                return Some(slot.node);
            }
            if slot.brief.length == 0 {
                return None;
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a key that is not there yet; the empty key is none.
    fn insert(&mut self, key: &str, node: usize) {
        if key.is_empty() {
            return;
        }
        if self.slots.len() <= self.filled * 4 {
            let size = (self.slots.len() * 2).max(8);
            let old = std::mem::replace(&mut self.slots, vec![Slot::default(); size]);
            old.into_iter().filter(|slot| slot.brief.length > 0).for_each(|slot| self.place(slot));
        }
        self.place(Slot { brief: Brief::of(key.as_bytes()), node, key: key.into() });
        self.filled += 1;
    }

    fn place(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = slot.brief.spread() & mask;
        while self.slots[at].brief.length > 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }
}

/// The first and last eight bytes of a key, which may overlap, and its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Brief {
    first: u64,
    last: u64,
    length: usize,
}

impl Brief {
    #[inline]
    fn of(key: &[u8]) -> Brief {
        let length = key.len();
        let wide = |at: Option<&[u8; 8]>| at.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let half = |at: Option<&[u8; 4]>| at.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
        let (first, last) = match length {
            8.. => (wide(key.first_chunk()), wide(key.last_chunk())),
            4..8 => (half(key.first_chunk()), half(key.last_chunk())),
            1..4 => (u64::from(key[0]) << 8 | u64::from(key[length / 2]), u64::from(key[length - 1])),
            0 => (0, 0),
        };
        Brief { first, last, length }
    }

    #[inline]
    fn spread(&self) -> usize {
        let mixed = (self.first ^ self.last.rotate_left(29) ^ self.length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 40) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn a_table_finds_its_keys_and_no_others(
            keys in prop::collection::btree_set("[ab]{1,20}", 0..60),
            others in prop::collection::vec("[abc]{0,20}", 0..60),
        ) {
            let model: BTreeMap<&str, usize> = keys.iter().enumerate().map(|(node, key)| (key.as_str(), node)).collect();
            let mut table = Table::default();
            model.iter().for_each(|(key, node)| table.insert(key, *node));
            for key in keys.iter().chain(&others) {
                prop_assert_eq!(table.get(key), model.get(key.as_str()).copied());
            }
        }
    }
}
