//! One automaton over all literals that any rule seeks in one kind of text. Pure.

use std::collections::BTreeMap;

use daachorse::DoubleArrayAhoCorasick;
use hashbrown::HashMap;

use super::BuildError;
use super::plan::{Anchor, SLOTS, Source};
use super::scratch::Hit;
use super::sieve::Sieve;

/// Where a field's value stands in a scanned text, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) slot: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A compiled group.
pub(super) struct Group {
    pub(super) source: Source,
    automaton: Option<DoubleArrayAhoCorasick<u32>>,
    /// Absent where a whole value or a short literal is sought: then every text is scanned.
    sieve: Option<Sieve>,
    /// The uses of literal `n` are `uses[starts[n]..starts[n + 1]]`.
    starts: Vec<u32>,
    uses: Vec<Use>,
    equals: [HashMap<Box<str>, Vec<Hit>, foldhash::fast::FixedState>; SLOTS],
    /// Which of its fields any rule asks for.
    pub(super) asked: [bool; SLOTS],
}

/// What a literal means for one test of one field.
#[derive(Clone, Copy, Debug)]
struct Use {
    slot: usize,
    anchor: Anchor,
    hit: Hit,
}

/// A group that is being collected.
#[derive(Default)]
pub(super) struct Collected {
    literals: BTreeMap<String, Vec<Use>>,
    equals: [BTreeMap<String, Vec<Hit>>; SLOTS],
}

impl Collected {
    /// Adds a literal of a field.
    pub(super) fn literal(&mut self, slot: usize, text: &str, anchor: Anchor, hit: Hit) {
        self.literals.entry(text.to_owned()).or_default().push(Use { slot, anchor, hit });
    }

    /// Adds a whole value of a field.
    pub(super) fn equal(&mut self, slot: usize, text: &str, hit: Hit) {
        self.equals[slot].entry(text.to_owned()).or_default().push(hit);
    }

    /// Compiles the group.
    pub(super) fn build(self, source: Source) -> Result<Group, BuildError> {
        let asked = std::array::from_fn(|slot| {
            !self.equals[slot].is_empty() || self.literals.values().flatten().any(|found| found.slot == slot)
        });
        let automaton = match self.literals.is_empty() {
            true => None,
            false => {
                let patterns = self.literals.keys().zip(0u32..);
                Some(DoubleArrayAhoCorasick::with_values(patterns).map_err(|error| BuildError(error.to_string()))?)
            }
        };
        let whole = self.equals.iter().any(|values| !values.is_empty());
        let sieve = if whole { None } else { Sieve::build(self.literals.keys()) };
        let mut starts = vec![0];
        let mut uses = Vec::new();
        for found in self.literals.into_values() {
            uses.extend(found);
            starts.push(uses.len() as u32);
        }
        let equals = self.equals.map(|values| values.into_iter().map(|(text, hits)| (text.into(), hits)).collect());
        Ok(Group { source, automaton, sieve, starts, uses, equals, asked })
    }
}

impl Group {
    /// Whether a scan of `text` may find anything; `false` is certain.
    pub(super) fn may_hold(&self, text: &[u8]) -> bool {
        self.sieve.as_ref().is_none_or(|sieve| sieve.may_hold(text))
    }

    /// Reports every hit of a folded text; `ranges` says which part of it is which field's value.
    pub(super) fn scan(&self, text: &str, ranges: &[Range], mut report: impl FnMut(Hit)) {
        for range in ranges {
            let values = &self.equals[range.slot];
            if !values.is_empty() {
                values.get(&text[range.start..range.end]).into_iter().flatten().for_each(|hit| report(*hit));
            }
        }
        let Some(automaton) = &self.automaton else { return };
        for found in automaton.find_overlapping_iter(text.as_bytes()) {
            let literal = found.value() as usize;
            let uses = &self.uses[self.starts[literal] as usize..self.starts[literal + 1] as usize];
            for used in uses {
                if ranges.iter().any(|range| used.fits(range, found.start(), found.end())) {
                    report(used.hit);
                }
            }
        }
    }
}

impl Use {
    fn fits(&self, range: &Range, start: usize, end: usize) -> bool {
        self.slot == range.slot
            && range.start <= start
            && end <= range.end
            && match self.anchor {
                Anchor::Anywhere => true,
                Anchor::Start => start == range.start,
                Anchor::End => end == range.end,
            }
    }
}
