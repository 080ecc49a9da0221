//! A sieve before the automaton: most texts hold no literal at all, and it says so for a third of a scan. Pure.
//!
//! Every literal lends its rarest window of `stride + 1` bytes, so looking at each `stride`-th pair of bytes meets one
//! pair of it; a pair that stands in some window is looked up by the bytes from the window's start. The looks do not wait
//! for one another, as the skips of Wu and Manber do. A literal too short for a window lends one rare byte instead. The
//! sieve never misses a literal; what it lets through is scanned.

use std::collections::BTreeSet;

use memchr::memchr3;

/// The pairs of a shorter window allow no step.
const WINDOW_MIN: usize = 3;
/// A pair's offsets in its window are the bits of one byte.
const WINDOW_MAX: usize = 9;
const PAIRS: usize = 1 << 12;
const STARTS_BITS: u32 = 14;
/// Where a literal goes on so far it is looked up by so many bytes: `.git/` must not let every `.gif` through.
const LONG: usize = 5;
/// So many bytes are sought at once.
const BYTES_MAX: usize = 3;

/// What is known of a group's literals; see the module.
pub(super) struct Sieve {
    stride: usize,
    /// For each pair the offsets at which it stands in a window.
    offsets: Box<[u8; PAIRS]>,
    /// A set of hashes of literals from their window's start.
    starts: Box<[u64]>,
    /// One byte of each literal that is too short for a window; any of them lets a text through.
    bytes: Option<[u8; BYTES_MAX]>,
}

impl Sieve {
    /// A sieve for folded literals; `None` where one of them is too short for it.
    pub(super) fn build<'l>(literals: impl Iterator<Item = &'l String> + Clone) -> Option<Sieve> {
        // A text with other characters is let through, so literals with other characters need no place here.
        let literals = literals.filter(|literal| literal.is_ascii());
        let bytes = rare_bytes(literals.clone().filter(|literal| literal.len() < WINDOW_MIN))?;
        let literals = literals.filter(|literal| literal.len() >= WINDOW_MIN);
        let window = literals.clone().map(String::len).min()?.min(WINDOW_MAX);
        let mut offsets = Box::new([0; PAIRS]);
        let mut starts = vec![0; 1 << (STARTS_BITS - 6)].into_boxed_slice();
        for literal in literals {
            let rare = rarest(literal.as_bytes(), window);
            for (offset, two) in rare[..window].windows(2).enumerate() {
                offsets[pair(two[0], two[1])] |= 1 << offset;
            }
            let start = start(rare, if rare.len() < LONG { WINDOW_MIN } else { LONG });
            starts[start >> 6] |= 1 << (start & 63);
        }
        Some(Sieve { stride: window - 1, offsets, starts, bytes })
    }

    /// Whether the folded form of `text` may hold a literal; `false` is certain.
    pub(super) fn may_hold(&self, text: &[u8]) -> bool {
        if !text.is_ascii() || self.bytes.is_some_and(|[a, b, c]| memchr3(a, b, c, text).is_some()) {
            return true;
        }
        for (look, two) in text.windows(2).step_by(self.stride).enumerate() {
            let offsets = self.offsets[pair(two[0], two[1])];
            if offsets != 0 && self.starts_near(text, look * self.stride, offsets) {
                return true;
            }
        }
        false
    }

    fn starts_near(&self, text: &[u8], at: usize, offsets: u8) -> bool {
        (0..self.stride).filter(|offset| offsets >> offset & 1 == 1).any(|offset| {
            let rest = at.checked_sub(offset).map_or(&[][..], |start| &text[start..]);
            rest.len() >= WINDOW_MIN && self.known(start(rest, WINDOW_MIN))
                || rest.len() >= LONG && self.known(start(rest, LONG))
        })
    }

    fn known(&self, start: usize) -> bool {
        self.starts[start >> 6] >> (start & 63) & 1 == 1
    }
}

/// The literal from the start of its rarest window on.
fn rarest(literal: &[u8], window: usize) -> &[u8] {
    let ordinary = |at: &usize| literal[*at..*at + window].iter().filter(|byte| is_ordinary(**byte)).count();
    let at = (0..=literal.len() - window).min_by_key(ordinary).unwrap_or_default();
    &literal[at..]
}

/// A byte of each literal that is rare in texts and has no case; `None` where one has none, or there are too many.
fn rare_bytes<'l>(literals: impl Iterator<Item = &'l String>) -> Option<Option<[u8; BYTES_MAX]>> {
    let rare = |literal: &String| literal.bytes().find(|byte| !is_ordinary(*byte));
    let bytes: BTreeSet<u8> = literals.map(rare).collect::<Option<_>>()?;
    let mut repeated = bytes.iter().copied().cycle();
    let filled = (!bytes.is_empty()).then(|| std::array::from_fn(|_| repeated.next().unwrap_or_default()));
    (bytes.len() <= BYTES_MAX).then_some(filled)
}

/// Bytes that stand in nearly every log line.
fn is_ordinary(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" \"-./:;()[],".contains(&byte)
}

/// The place of two ASCII bytes in the table. Leaving bit five out folds letters; what else it joins is let through.
fn pair(first: u8, second: u8) -> usize {
    let six = |byte: u8| usize::from(byte & 0x1f | (byte & 0x40) >> 1);
    six(first) << 6 | six(second)
}

/// The place of a text by its first `length` bytes, folded likewise.
fn start(bytes: &[u8], length: usize) -> usize {
    let key = bytes[..length].iter().fold(length as u64, |sum, byte| sum << 8 | u64::from(byte | 0x20));
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - STARTS_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fold::fold;
    use super::*;

    proptest! {
        #[test]
        fn no_literal_is_missed(
            literals in prop::collection::vec("[ab/@`]{3,9}|@[ab]?", 1..4),
            before in "[abAB/@ä]{0,20}",
            after in "[abAB/@]{0,5}",
            chosen in any::<prop::sample::Index>(),
        ) {
            let Some(sieve) = Sieve::build(literals.iter()) else { return Ok(()) };
            let literal = chosen.get(&literals).to_uppercase();
            let text = format!("{before}{literal}{after}");
            prop_assert!(sieve.may_hold(text.as_bytes()));
            let holds = literals.iter().any(|literal| fold(&before).contains(literal));
            prop_assert!(!holds || sieve.may_hold(before.as_bytes()));
        }
    }

    #[test]
    fn ordinary_text_is_held_back() {
        let literals = ["union select".to_owned(), "/etc/passwd".to_owned(), "<script".to_owned()];
        let sieve = Sieve::build(literals.iter()).unwrap();
        assert!(!sieve.may_hold(b"GET /index.html HTTP/1.1"));
        assert!(!sieve.may_hold(b""));
        assert!(Sieve::build(["ab".to_owned(), "<script".to_owned()].iter()).is_none());
        let sieve = Sieve::build(["$(".to_owned(), "<script".to_owned()].iter()).unwrap();
        assert!(sieve.may_hold(b"/?a=$(id)") && sieve.may_hold(b"<SCRIPT") && !sieve.may_hold(b"/index.html"));
    }
}
