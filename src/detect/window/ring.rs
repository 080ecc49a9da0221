//! A ring of buckets on the epoch's grid. Pure.

use serde::{Deserialize, Serialize};

use crate::detect::plan::BUCKETS;

/// Counts per bucket; which bucket is the newest is kept beside it, once for all rings of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring([u32; BUCKETS]);

/// Where a bucket lies relative to a window's newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Newer: the window moves by this many buckets first.
    Ahead(i64),
    /// Inside the window.
    Inside,
    /// Older than everything the window covers.
    Behind,
}

impl Ring {
    /// Adds to a bucket, saturating.
    pub fn add(&mut self, bucket: i64, count: u32) {
        let slot = &mut self.0[slot(bucket)];
        *slot = slot.saturating_add(count);
    }

    /// Empties the buckets that come into the window when it moves from `newest` by `steps`.
    pub fn advance(&mut self, newest: i64, steps: i64) {
        if steps >= BUCKETS as i64 {
            self.0 = [0; BUCKETS];
            return;
        }
        (1..=steps).for_each(|step| self.0[slot(newest + step)] = 0);
    }

    /// The sum over the buckets from `from` on, in a ring whose newest is `newest`.
    pub fn total_from(&self, newest: i64, from: i64) -> u64 {
        (from.max(newest - BUCKETS as i64 + 1)..=newest).map(|bucket| u64::from(self.0[slot(bucket)])).sum()
    }

    /// The sum over the window.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|count| u64::from(*count)).sum()
    }
}

/// Where `bucket` lies when `newest` is the newest.
pub fn reach(newest: i64, bucket: i64) -> Reach {
    match bucket - newest {
        steps if steps > 0 => Reach::Ahead(steps),
        steps if steps > -(BUCKETS as i64) => Reach::Inside,
        _ => Reach::Behind,
    }
}

fn slot(bucket: i64) -> usize {
    bucket.rem_euclid(BUCKETS as i64) as usize
}
