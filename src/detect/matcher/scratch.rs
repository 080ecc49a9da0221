//! What the matcher writes while it judges: marks of the current event, buffers, and the memo of repeated texts. Pure.
//!
//! Nothing is cleared between events: marks carry the generation they were made in. Nothing in here changes a result;
//! it only saves time. Deliberately bounded: the memo is a table of fixed size where a newcomer takes its slot.

use std::hash::{BuildHasher, Hasher};

/// Enough for the distinct user agents, referrers and hosts of a busy site's minute; at most 2 MiB of texts.
const MEMO_SLOTS: usize = 4_096;
/// Longer texts are rare and rarely repeat.
pub(super) const MEMO_TEXT_BYTES_MAX: usize = 512;
/// A text with more hits than this is an attack or a rule set gone wrong; it is scanned anew each time.
const MEMO_MARKS_MAX: usize = 128;
/// Two bits of a test's state are its verdict, the rest the generation.
const GENERATION_MAX: u32 = u32::MAX >> 2;

/// Room for judging one event after the other with one [`super::Matcher`]. One per thread and matcher; used with
/// another matcher it starts anew.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) matcher: u64,
    pub(super) marks: Marks,
    pub(super) memo: Memo,
    pub(super) text: String,
    pub(super) hits: Vec<Hit>,
    pub(super) candidates_total: u64,
}

/// That a test was seen to hold, or that it can hold and must be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    pub(super) test: u32,
    pub(super) certain: bool,
}

/// How many marks a matcher needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) tests: usize,
    pub(super) rules: usize,
    pub(super) groups: usize,
}

/// What is known of a test for the current event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Unseen,
    Possible,
    False,
    True,
}

/// The marks of the current event.
#[derive(Debug, Default)]
pub(super) struct Marks {
    generation: u32,
    tests: Vec<u32>,
    rules: Vec<u32>,
    groups: Vec<u32>,
    /// Rules of which a witness was seen, by their place in the matcher.
    pub(super) candidates: Vec<u32>,
}

/// Hits by text, for texts that come again and again.
#[derive(Debug, Default)]
pub(super) struct Memo {
    slots: Vec<Option<Remembered>>,
}

#[derive(Debug)]
struct Remembered {
    group: usize,
    text: String,
    hits: Vec<Hit>,
}

impl Scratch {
    /// How many rules ran their tree since this scratch was made, and were not settled by the index alone.
    pub fn candidates_total(&self) -> u64 {
        self.candidates_total
    }

    /// Makes room for a matcher, forgetting everything of another one.
    pub(super) fn fit(&mut self, matcher: u64, sizes: Sizes) {
        if self.matcher != matcher || self.marks.tests.len() != sizes.tests {
            let marks = Marks {
                generation: 0,
                tests: vec![0; sizes.tests],
                rules: vec![0; sizes.rules],
                groups: vec![0; sizes.groups],
                candidates: Vec::new(),
            };
            let candidates_total = self.candidates_total;
            *self = Scratch { matcher, marks, candidates_total, ..Scratch::default() };
            self.memo.slots.resize_with(MEMO_SLOTS, || None);
        }
        self.marks.next_generation();
    }
}

impl Marks {
    fn next_generation(&mut self) {
        self.candidates.clear();
        if self.generation == GENERATION_MAX {
            self.generation = 0;
            self.tests.fill(0);
            self.rules.fill(0);
            self.groups.fill(0);
        }
        self.generation += 1;
    }

    /// What is known of a test.
    pub(super) fn state(&self, test: u32) -> State {
        let mark = self.tests[test as usize];
        if mark >> 2 != self.generation {
            return State::Unseen;
        }
        match mark & 3 {
            1 => State::Possible,
            2 => State::False,
            _ => State::True,
        }
    }

    /// Notes what was found out of a test.
    pub(super) fn settle(&mut self, test: u32, holds: bool) {
        self.tests[test as usize] = self.generation << 2 | if holds { 3 } else { 2 };
    }

    /// Notes a hit, and the rules it is a witness of. The second hit of a test costs one comparison.
    pub(super) fn hit(&mut self, hit: Hit, witness_of: &[u32]) {
        let mark = &mut self.tests[hit.test as usize];
        let known = *mark >> 2 == self.generation;
        if known && (*mark & 3 == 3 || !hit.certain) {
            return;
        }
        *mark = self.generation << 2 | if hit.certain { 3 } else { 1 };
        if !known {
            witness_of.iter().for_each(|rule| self.candidate(*rule));
        }
    }

    /// Whether this group was not asked about before in this event.
    pub(super) fn first_of_group(&mut self, group: usize) -> bool {
        let mark = &mut self.groups[group];
        let first = *mark != self.generation;
        *mark = self.generation;
        first
    }

    fn candidate(&mut self, rule: u32) {
        let mark = &mut self.rules[rule as usize];
        if *mark != self.generation {
            *mark = self.generation;
            self.candidates.push(rule);
        }
    }
}

impl Memo {
    /// The slot of a text.
    pub(super) fn slot(&self, group: usize, text: &str) -> usize {
        let mut hasher = foldhash::fast::FixedState::with_seed(group as u64).build_hasher();
        hasher.write(text.as_bytes());
        hasher.finish() as usize % MEMO_SLOTS
    }

    /// The hits of a text that was seen before.
    pub(super) fn get(&self, slot: usize, group: usize, text: &str) -> Option<&[Hit]> {
        let remembered = self.slots.get(slot)?.as_ref()?;
        (remembered.group == group && remembered.text == text).then_some(remembered.hits.as_slice())
    }

    /// Remembers the hits of a text in its slot.
    pub(super) fn put(&mut self, slot: usize, group: usize, text: &str, hits: &mut Vec<Hit>) {
        hits.sort_unstable();
        hits.dedup();
        if hits.len() > MEMO_MARKS_MAX {
            return;
        }
        let Some(place) = self.slots.get_mut(slot) else { return };
        match place {
            Some(old) => {
                old.group = group;
                old.text.clear();
                old.text.push_str(text);
                old.hits.clear();
                old.hits.extend_from_slice(hits);
            }
            None => *place = Some(Remembered { group, text: text.to_owned(), hits: hits.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_an_old_generation_are_gone() {
        let mut scratch = Scratch::default();
        scratch.fit(1, Sizes { tests: 2, rules: 1, groups: 0 });
        scratch.marks.hit(Hit { test: 1, certain: false }, &[0]);
        assert_eq!((scratch.marks.state(1), scratch.marks.state(0)), (State::Possible, State::Unseen));
        assert_eq!(scratch.marks.candidates, [0]);
        scratch.marks.generation = GENERATION_MAX;
        scratch.fit(1, Sizes { tests: 2, rules: 1, groups: 0 });
        assert_eq!(scratch.marks.state(1), State::Unseen);
        assert!(scratch.marks.candidates.is_empty());
    }

    #[test]
    fn the_memo_never_grows_past_its_slots() {
        let mut scratch = Scratch::default();
        scratch.fit(1, Sizes { tests: 1, rules: 1, groups: 0 });
        for number in 0..3 * MEMO_SLOTS {
            let text = number.to_string();
            let slot = scratch.memo.slot(0, &text);
            scratch.memo.put(slot, 0, &text, &mut vec![Hit { test: 0, certain: true }]);
            assert_eq!(scratch.memo.get(slot, 0, &text).map(<[Hit]>::len), Some(1));
            assert!(scratch.memo.get(slot, 1, &text).is_none());
        }
        assert_eq!(scratch.memo.slots.len(), MEMO_SLOTS);
    }
}
