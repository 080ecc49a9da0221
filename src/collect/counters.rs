//! How much came from each source, and what was lost on the way. Pure.
//!
//! Threads add, anyone reads. Deliberately one set per entry of `collect:`, not per file or peer: those are as many as
//! somebody else likes.

use std::sync::atomic::{AtomicU64, Ordering};

/// Everything that is counted of one source, from the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// Records in the journal.
    Lines,
    /// Bytes of their values.
    Bytes,
    /// Records of which the end was cut off, at `LINE_BYTES_MAX`.
    Cut,
    /// Datagrams that the kernel threw away, since nobody took them in time.
    Dropped,
    /// Files that were renamed, truncated or replaced.
    Rotations,
    /// Failed attempts to open or read a file, or to take a connection.
    Errors,
    /// NUL bytes passed over at the start of lines.
    Nuls,
    /// Connections turned away because there were too many.
    Refused,
    /// Connections closed because they were silent for too long.
    Idle,
    /// Records that anybody could have forged: datagrams from elsewhere.
    Spoofable,
}

/// All of them, with the names that metrics use.
pub const COUNTS: [(Count, &str); 10] = [
    (Count::Lines, "lines"),
    (Count::Bytes, "bytes"),
    (Count::Cut, "cut"),
    (Count::Dropped, "dropped"),
    (Count::Rotations, "rotations"),
    (Count::Errors, "errors"),
    (Count::Nuls, "nuls"),
    (Count::Refused, "refused"),
    (Count::Idle, "idle"),
    (Count::Spoofable, "spoofable"),
];

/// The counters of one source.
#[derive(Debug)]
pub struct Counters {
    /// The pattern or address, as it was written.
    pub source: String,
    /// The pipeline its records are for: their topic.
    pub pipeline: String,
    counts: [AtomicU64; COUNTS.len()],
}

impl Counters {
    /// All zero.
    pub fn new(source: &str, pipeline: &str) -> Counters {
        Counters { source: source.to_owned(), pipeline: pipeline.to_owned(), counts: Default::default() }
    }

    /// Adds to one.
    pub fn add(&self, count: Count, number: u64) {
        self.counts[count as usize].fetch_add(number, Ordering::Relaxed);
    }

    /// One as it stands.
    pub fn get(&self, count: Count) -> u64 {
        self.counts[count as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_count_has_a_place_of_its_own() {
        let counters = Counters::new("a", "b");
        for (at, (count, _)) in COUNTS.iter().enumerate() {
            assert_eq!(*count as usize, at);
            counters.add(*count, at as u64 + 1);
        }
        assert!(COUNTS.iter().enumerate().all(|(at, (count, _))| counters.get(*count) == at as u64 + 1));
    }
}
