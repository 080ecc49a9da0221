//! When to commit, when to begin a new split, what to drop, when the disk is too full. Pure.
//!
//! Plain numbers in, a decision out; the writer asks and obeys.

use std::time::Duration;

use crate::event::{DAY, Time};

/// An event can be found this long after it was added, at low load (the goal).
pub const COMMIT_AFTER: Duration = Duration::from_secs(5);
/// Under load: indexing stands still while a commit writes its files through, 100 to 400 ms whatever it holds.
pub const COMMIT_EVENTS: u64 = 1_000_000;
/// Under load of long lines: what is not committed is read again after a crash, some seconds of work.
pub const COMMIT_BYTES: u64 = 256 * 1024 * 1024;
/// So many events that are at rest are worth a commit at once: the end of catching up, or of a burst.
pub const COMMIT_REST_EVENTS: u64 = 10_000;
/// Nothing came for this long: what is pending is at rest.
pub const COMMIT_REST_AFTER: Duration = Duration::from_millis(500);

/// What was added since the last commit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pending {
    pub events: u64,
    pub raw_bytes: u64,
    /// Positions moved, even if no event came of it.
    pub moved: bool,
    /// How long the oldest of it has waited.
    pub waited: Duration,
    /// How long ago the newest of it came.
    pub rested: Duration,
}

impl Pending {
    /// Whether it is time to commit.
    pub fn is_due(&self) -> bool {
        let full = self.events >= COMMIT_EVENTS || self.raw_bytes >= COMMIT_BYTES;
        let at_rest = self.events >= COMMIT_REST_EVENTS && self.rested >= COMMIT_REST_AFTER;
        full || at_rest || (self.moved && self.waited >= COMMIT_AFTER)
    }
}

/// When a split takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitLimits {
    /// Documents; a search opens every segment of every split in its time.
    pub documents_max: u64,
    /// Bytes of raw lines: what is lost and read again when a file of the split goes bad.
    pub raw_bytes_max: u64,
    /// Milliseconds of the journal's time: what retention drops at once.
    pub span_max: i64,
}

impl Default for SplitLimits {
    /// Ten million events, 4 GiB of raw lines, a day.
    fn default() -> Self {
        SplitLimits { documents_max: 10_000_000, raw_bytes_max: 4 << 30, span_max: DAY }
    }
}

impl SplitLimits {
    /// Whether a split of this content is full.
    pub fn is_full(&self, documents: u64, raw_bytes: u64, opened_at: Option<Time>, newest_at: Option<Time>) -> bool {
        let span = newest_at.zip(opened_at).map_or(0, |(newest, opened)| newest.since(opened));
        documents >= self.documents_max || raw_bytes >= self.raw_bytes_max || (documents > 0 && span >= self.span_max)
    }
}

/// How long events stay searchable, by the journal's time, and how many bytes of disk the index may take. The split that
/// takes events now is never dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Milliseconds.
    pub age_max: i64,
    /// Bytes on disk.
    pub bytes_max: u64,
}

/// A split as retention sees it.
#[derive(Clone, Copy, Debug)]
pub struct Aged {
    pub newest_at: Option<Time>,
    pub bytes: u64,
}

impl Retention {
    /// How many of the oldest splits to drop. `splits` are in order, the last one is the one that takes events.
    pub fn drop_count(&self, splits: &[Aged], now: Time) -> usize {
        let droppable = splits.len().saturating_sub(1);
        let is_old = |split: &Aged| split.newest_at.is_none_or(|newest| now.since(newest) > self.age_max);
        let mut dropped = splits[..droppable].iter().take_while(|split| is_old(split)).count();
        let mut bytes: u64 = splits[dropped..].iter().map(|split| split.bytes).sum();
        while bytes > self.bytes_max && dropped < droppable {
            bytes -= splits[dropped].bytes;
            dropped += 1;
        }
        dropped
    }
}

/// The largest merge the policy makes: ten segments below the limit of those that are merged at all.
const MERGE_BYTES_MAX: u64 = 1 << 30;

/// Bytes of disk that must stay free for the index to go on: twice the largest merge (it needs the sum of its inputs
/// again), or a tenth of the disk. Detection goes on without an index; the journal needs the room more.
pub fn reserve(disk_bytes: u64, index_bytes: u64) -> u64 {
    (2 * MERGE_BYTES_MAX.min(index_bytes)).max(disk_bytes / 10)
}

/// Whether the index may write now.
pub fn may_write(disk_bytes: u64, free_bytes: u64, index_bytes: u64) -> bool {
    free_bytes >= reserve(disk_bytes, index_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::HOUR;

    #[test]
    fn commits_are_due_by_age_events_or_bytes() {
        let pending = |events, raw_bytes, moved, seconds| {
            let (waited, rested) = (Duration::from_secs(seconds), Duration::ZERO);
            Pending { events, raw_bytes, moved, waited, rested }
        };
        assert!(!pending(1, 1, true, 4).is_due());
        assert!(pending(1, 1, true, 5).is_due());
        assert!(pending(COMMIT_EVENTS, 1, true, 0).is_due());
        assert!(pending(1, COMMIT_BYTES, true, 0).is_due());
        let at_rest = |events| Pending { rested: COMMIT_REST_AFTER, ..pending(events, 1, true, 0) };
        assert!(at_rest(COMMIT_REST_EVENTS).is_due() && !at_rest(COMMIT_REST_EVENTS - 1).is_due());
        assert!(!pending(0, 0, false, 60).is_due(), "nothing to say");
    }

    #[test]
    fn splits_end_by_documents_bytes_or_time() {
        let limits = SplitLimits { documents_max: 10, raw_bytes_max: 100, span_max: HOUR };
        let full = |documents, bytes, span| limits.is_full(documents, bytes, Some(Time(0)), Some(Time(span)));
        assert!(!full(9, 99, HOUR - 1));
        assert!(full(10, 0, 0) && full(1, 100, 0) && full(1, 1, HOUR));
        assert!(!limits.is_full(0, 0, None, None));
    }

    #[test]
    fn retention_drops_the_oldest_and_never_the_last() {
        let split = |hours: i64, bytes| Aged { newest_at: Some(Time(hours * HOUR)), bytes };
        let splits = [split(1, 10), split(2, 10), split(3, 10)];
        let retention = Retention { age_max: 5 * HOUR, bytes_max: 100 };
        assert_eq!(retention.drop_count(&splits, Time(6 * HOUR)), 0);
        assert_eq!(retention.drop_count(&splits, Time(7 * HOUR)), 1);
        assert_eq!(retention.drop_count(&splits, Time(99 * HOUR)), 2);
        assert_eq!(Retention { bytes_max: 20, ..retention }.drop_count(&splits, Time(0)), 1);
        assert_eq!(Retention { bytes_max: 0, ..retention }.drop_count(&splits, Time(0)), 2);
        assert_eq!(retention.drop_count(&[], Time(0)), 0);
    }

    #[test]
    fn the_reserve_is_a_tenth_or_two_merges() {
        assert!(!may_write(100 << 30, 9 << 30, 50 << 30));
        assert!(may_write(100 << 30, 11 << 30, 50 << 30));
        assert!(!may_write(1 << 30, 200 << 20, 500 << 20));
    }
}
