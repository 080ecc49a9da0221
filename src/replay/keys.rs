//! When each record of a file is taken to have arrived: its key (outputs sheet, "Replay"). Pure.
//!
//! The key never goes back, and one forged time cannot move it: a claim more than an hour ahead counts only once the
//! next timed line confirms it. Deliberately without knowledge of other inputs: merging is next door.

use crate::event::{HOUR, Time};

/// A claim further ahead of the key than this has to be confirmed.
pub const JUMP_MAX: i64 = HOUR;
/// So many records may wait for a time to be found or confirmed; then they take what is known, so that a file without
/// times needs no memory.
pub const WAITING_RECORDS_MAX: usize = 8192;

/// When a record arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub at: Time,
    /// Its claim was more than an hour ahead and not confirmed: the flaw `time_jump`.
    pub jumped: bool,
}

/// The keys of one input, in the order of its records.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The largest time so far; absent before the first.
    current: Option<Time>,
    /// The claim of the first waiting record, where it waits for confirmation rather than for any time.
    claimed: Option<Time>,
    waiting: usize,
    fallback: Time,
}

impl Keys {
    /// `fallback` is the key of records of which no time is known.
    pub fn new(fallback: Time) -> Keys {
        Keys { current: None, claimed: None, waiting: 0, fallback }
    }

    /// Takes the time that the next record claims, if any, and puts out the keys that are decided now.
    pub fn push(&mut self, claim: Option<Time>, out: &mut impl Extend<Key>) {
        match claim {
            None if self.current.is_some() && self.waiting == 0 => out.extend(self.same(1)),
            None => self.wait(out),
            Some(claim) => self.push_timed(claim, out),
        }
    }

    /// Decides what still waits at the end of the input.
    pub fn finish(&mut self, out: &mut impl Extend<Key>) {
        self.settle(false, out);
    }

    fn wait(&mut self, out: &mut impl Extend<Key>) {
        self.waiting += 1;
        if self.waiting >= WAITING_RECORDS_MAX {
            self.settle(false, out);
        }
    }

    fn push_timed(&mut self, claim: Time, out: &mut impl Extend<Key>) {
        let confirmed = self.claimed.is_some_and(|first| claim >= first.plus(-JUMP_MAX));
        if self.current.is_none() {
            self.current = Some(claim);
        }
        self.settle(confirmed, out);
        let current = self.current.unwrap_or(claim);
        if claim.since(current) > JUMP_MAX {
            self.claimed = Some(claim);
            self.wait(out);
        } else {
            self.current = Some(current.max(claim));
            out.extend(self.same(1));
        }
    }

    /// Gives the waiting records their keys: the claim they waited on where it holds, else what was known before.
    fn settle(&mut self, confirmed: bool, out: &mut impl Extend<Key>) {
        let jumped = self.claimed.is_some() && !confirmed;
        let current = self.current.unwrap_or(self.fallback);
        if let Some(claim) = self.claimed.take().filter(|_| confirmed) {
            self.current = Some(current.max(claim));
        }
        let waiting = std::mem::take(&mut self.waiting);
        if waiting > 0 {
            self.current.get_or_insert(current);
            let first = self.same(1).map(|key| Key { jumped, ..key });
            out.extend(first.chain(self.same(waiting - 1)));
        }
    }

    fn same(&self, count: usize) -> impl Iterator<Item = Key> + use<> {
        std::iter::repeat_n(Key { at: self.current.unwrap_or(self.fallback), jumped: false }, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FALLBACK: Time = Time(7);

    fn keys(claims: &[Option<Time>]) -> Vec<Key> {
        let mut keys = Keys::new(FALLBACK);
        let mut out = Vec::new();
        claims.iter().for_each(|claim| keys.push(*claim, &mut out));
        keys.finish(&mut out);
        out
    }

    /// The sheet's sentences, word by word, with the whole file at hand.
    fn model(claims: &[Option<Time>]) -> Vec<Key> {
        let first = claims.iter().flatten().next().copied();
        let mut key = first.unwrap_or(FALLBACK);
        let mut out = Vec::new();
        for (index, claim) in claims.iter().enumerate() {
            let ahead = claim.is_some_and(|claim| claim.since(key) > JUMP_MAX);
            let next = claims[index + 1..].iter().flatten().next();
            let confirmed = || next.is_some_and(|next| claim.is_some_and(|claim| *next >= claim.plus(-JUMP_MAX)));
            let jumped = ahead && !confirmed();
            if !jumped {
                key = claim.map_or(key, |claim| key.max(claim));
            }
            out.push(Key { at: key, jumped });
        }
        out
    }

    proptest! {
        #[test]
        fn keys_are_those_of_the_sheet(claims in prop::collection::vec(prop::option::of(0i64..40), 0..60)) {
            let claims: Vec<Option<Time>> = claims.iter().map(|claim| claim.map(|c| Time(c * HOUR / 4))).collect();
            prop_assert_eq!(keys(&claims), model(&claims));
        }
    }

    #[test]
    fn one_forged_time_moves_nothing() {
        let forged = Time::MAX;
        let found = keys(&[None, Some(Time(10)), Some(forged), None, Some(Time(20)), Some(Time(15))]);
        assert_eq!(found.iter().map(|key| key.at.0).collect::<Vec<_>>(), [10, 10, 10, 10, 20, 20]);
        assert_eq!(found.iter().map(|key| key.jumped).collect::<Vec<_>>(), [false, false, true, false, false, false]);
    }

    #[test]
    fn a_night_without_traffic_is_confirmed_by_the_morning() {
        let found = keys(&[Some(Time(0)), Some(Time(8 * HOUR)), Some(Time(9 * HOUR))]);
        assert_eq!(found.iter().map(|key| key.at.0).collect::<Vec<_>>(), [0, 8 * HOUR, 9 * HOUR]);
    }

    #[test]
    fn waiting_is_bounded() {
        let mut keys = Keys::new(FALLBACK);
        let mut out = Vec::new();
        (0..WAITING_RECORDS_MAX).for_each(|_| keys.push(None, &mut out));
        assert_eq!(out.len(), WAITING_RECORDS_MAX);
        assert!(out.iter().all(|key| key.at == FALLBACK));
    }
}
