//! How many different values a window saw. Pure.
//!
//! Exact to 64 values. Beyond, linear counting over 1,024 cells (Whang, Vander-Zanden and Taylor 1990): the standard
//! error stays under 3 % at 1,000 values and under 6 % at 4,000, and the estimate saturates near 7,000, far above any
//! threshold that a rule needs. Both forms remember the newest bucket of each value, so values leave as the window moves.

use serde::{Deserialize, Serialize};

use crate::detect::plan::BUCKETS;

/// Up to this many values are counted one by one: they cover nearly every threshold, in 1 KiB.
pub const EXACT_MAX: usize = 64;
/// Cells of the sketch: 8 KiB a key, only for keys beyond [`EXACT_MAX`] values.
const CELLS: usize = 1_024;
/// A cell that nothing has touched.
const NEVER: i64 = i64::MIN;

/// Distinct values of a sliding window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Distinct {
    /// Hash of the value and the newest bucket it was seen in.
    Exact(Vec<(u64, i64)>),
    /// Newest bucket per cell.
    Sketch(Vec<i64>),
}

impl Default for Distinct {
    fn default() -> Self {
        Distinct::Exact(Vec::new())
    }
}

impl Distinct {
    /// Notes a value, by its hash, in a bucket of a window whose newest bucket is `newest`.
    pub fn add(&mut self, hash: u64, bucket: i64, newest: i64) {
        match self {
            Distinct::Exact(seen) => {
                if let Some((_, last)) = seen.iter_mut().find(|(other, _)| *other == hash) {
                    *last = (*last).max(bucket);
                    return;
                }
                if seen.len() == EXACT_MAX {
                    seen.retain(|(_, last)| inside(*last, newest));
                }
                seen.push((hash, bucket));
                if seen.len() > EXACT_MAX {
                    *self = Distinct::Sketch(sketch_of(seen));
                }
            }
            Distinct::Sketch(cells) => touch(cells, hash, bucket),
        }
    }

    /// What it takes beside itself, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Distinct::Exact(seen) => size_of_val(&**seen),
            Distinct::Sketch(cells) => size_of_val(&**cells),
        }
    }

    /// How many values the window holds when its newest bucket is `newest`.
    pub fn count(&self, newest: i64) -> u64 {
        match self {
            Distinct::Exact(seen) => seen.iter().filter(|(_, last)| inside(*last, newest)).count() as u64,
            Distinct::Sketch(cells) => estimate(cells.iter().filter(|last| inside(**last, newest)).count()),
        }
    }
}

/// A value's hash: blake3, because the values are an attacker's and collisions would hide them.
pub fn value_hash(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    let mut first = [0u8; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

fn inside(bucket: i64, newest: i64) -> bool {
    bucket > newest - BUCKETS as i64
}

fn sketch_of(seen: &[(u64, i64)]) -> Vec<i64> {
    let mut cells = vec![NEVER; CELLS];
    seen.iter().for_each(|(hash, bucket)| touch(&mut cells, *hash, *bucket));
    cells
}

fn touch(cells: &mut [i64], hash: u64, bucket: i64) {
    let cell = &mut cells[hash as usize % CELLS];
    *cell = (*cell).max(bucket);
}

/// −m·ln(empty ÷ m), in whole values; a full sketch counts as if half a cell were empty.
fn estimate(full: usize) -> u64 {
    let cells = CELLS as f64;
    let empty = (CELLS - full) as f64;
    (-cells * (empty.max(0.5) / cells).ln()).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stated_error_holds() {
        for (values, allowed) in [(64u64, 0.0), (200, 0.05), (1_000, 0.08), (4_000, 0.15)] {
            let mut distinct = Distinct::default();
            (0..values).for_each(|value| distinct.add(value_hash(&value.to_le_bytes()), 7, 7));
            let error = distinct.count(7).abs_diff(values) as f64 / values as f64;
            assert!(error <= allowed, "{values}: {}", distinct.count(7));
        }
    }

    #[test]
    fn values_leave_with_their_bucket() {
        let mut distinct = Distinct::default();
        (0..100u64).for_each(|value| distinct.add(value_hash(&value.to_le_bytes()), value as i64 / 10, 9));
        assert!((90..=110).contains(&distinct.count(9)));
        assert!((8..=12).contains(&distinct.count(25)), "only the last bucket is left: {}", distinct.count(25));
        assert_eq!(distinct.count(26), 0);
    }
}
