//! The field map compiled into a trie of keys: path in the object → fields. Pure.
//!
//! Nested objects and dotted keys walk the same nodes. Deliberately without a look at values: how they are read is
//! in [`super::convert`].

use std::collections::BTreeSet;

use super::convert;
use crate::decode::{Keep, Target, Unit};
use crate::event::field::{ADDRESS_NAMES, NUMBER_NAMES, TEXT_NAMES};
use crate::event::{Field, Text};

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
    /// The slot of a text that is taken as it is, which is what most leaves are.
    pub(super) plain: Option<Text>,
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

    /// The node of `key`, of which `brief` is, below `node`; a key with dots walks several.
    #[inline]
    pub(super) fn child(&self, node: usize, brief: &Brief, key: &[u8]) -> Option<usize> {
        match self.nodes[node].children.find(brief, key) {
            None if brief.may_hold_dot() => self.dotted(node, key),
            found => found,
        }
    }

    #[inline(never)]
    fn dotted(&self, mut node: usize, key: &[u8]) -> Option<usize> {
        memchr::memchr(b'.', key)?;
        for part in key.split(|byte| *byte == b'.') {
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
        let before: Vec<usize> = (0..self.leaves.len()).filter(|index| same(&self.leaves[*index])).collect();
        let plain = convert::plain_slot(&target.field).filter(|_| before.is_empty() && target.values.is_empty());
        self.nodes[node].leaves.push(self.leaves.len());
        self.leaves.push(Leaf { target: target.clone(), name, moment, kept, before, plain });
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
            node = match self.nodes[node].children.get(part.as_bytes()) {
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
    fn get(&self, key: &[u8]) -> Option<usize> {
        self.find(&Brief::of(key), key)
    }

    #[inline]
    fn find(&self, brief: &Brief, key: &[u8]) -> Option<usize> {
        if self.slots.is_empty() || key.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut at = brief.spread() & mask;
        loop {
            let slot = &self.slots[at];
            if slot.brief == *brief && (key.len() <= 16 || slot.key.as_bytes() == key) {
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

/// The first and last eight bytes of a key, which may overlap, and its length. Of a shorter key both are all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Brief {
    first: u64,
    last: u64,
    length: usize,
}

impl Brief {
    pub(super) fn of(key: &[u8]) -> Brief {
        let mut padded = [0; 8];
        let head = &key[..key.len().min(8)];
        padded[..head.len()].copy_from_slice(head);
        let first = u64::from_le_bytes(padded);
        Brief { first, last: key.last_chunk().map_or(first, |last| u64::from_le_bytes(*last)), length: key.len() }
    }

    /// The brief of `text[start..end]`; what stands around a short key is read with it and masked away, because jumps
    /// by the length of a key cannot be predicted.
    #[inline(always)]
    pub(super) fn within(text: &[u8], start: usize, end: usize) -> Brief {
        let word = |at: usize| text.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word));
        let length = end - start;
        let (Some(head), Some(tail)) = (word(start), end.checked_sub(8).and_then(word)) else {
            return Brief::of(&text[start..end]);
        };
        let short = length < 8;
        let first = if short { head & ((1 << (8 * (length & 7))) - 1) } else { head };
        Brief { first, last: if short { first } else { tail }, length }
    }

    /// Whether the key may hold a dot: exact for up to 16 bytes, which are all of them here, else yes.
    #[inline]
    fn may_hold_dot(&self) -> bool {
        const LOW: u64 = 0x0101_0101_0101_0101;
        let dots = |word: u64| {
            let others = word ^ (LOW * u64::from(b'.'));
            others.wrapping_sub(LOW) & !others & (LOW << 7) != 0
        };
        self.length > 16 || dots(self.first) || dots(self.last)
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
        fn a_key_has_one_brief_wherever_it_stands(before in "[ab.]{0,12}", key in "[ab.é]{0,20}", after in "[ab.]{0,12}") {
            let text = format!("{before}{key}{after}");
            let within = Brief::within(text.as_bytes(), before.len(), before.len() + key.len());
            prop_assert_eq!(within, Brief::of(key.as_bytes()));
            prop_assert_eq!(within.may_hold_dot(), key.len() > 16 || key.contains('.'));
        }

        #[test]
        fn a_table_finds_its_keys_and_no_others(
            keys in prop::collection::btree_set("[ab]{1,20}", 0..60),
            others in prop::collection::vec("[abc]{0,20}", 0..60),
        ) {
            let model: BTreeMap<&str, usize> = keys.iter().enumerate().map(|(node, key)| (key.as_str(), node)).collect();
            let mut table = Table::default();
            model.iter().for_each(|(key, node)| table.insert(key, *node));
            for key in keys.iter().chain(&others) {
                prop_assert_eq!(table.get(key.as_bytes()), model.get(key.as_str()).copied());
            }
        }
    }
}
