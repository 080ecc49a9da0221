//! Where the events of a window are in the journal: evidence positions and spans. Pure.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::detect::plan::BUCKETS;
use crate::event::{Input, Place, Position, Span};

use super::InputIndex;

/// A finding lists at most this many positions (design §8.7); its spans hold the rest.
pub const EVIDENCE_MAX: usize = 8;
/// A window follows at most this many inputs at a time: as many as a replay reads. An attack on one account or service
/// may come in over all of them, and a receipt must name every one.
pub const INPUTS_MAX: usize = 256;

/// First and last offset of a stretch of an input.
pub type Stretch = (InputIndex, u64, u64);

/// Positions of a window's events: eight of them, and per input the run that holds all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// In the order they came: the first seven of the window, and the last. Most keys count once.
    evidence: SmallVec<[(i64, InputIndex, Place); 1]>,
    /// No position is of an older bucket.
    oldest: i64,
    runs: SmallVec<[Run; 1]>,
}

/// First and last offset per input, in two generations of a full window each, so that a span covers the window and at
/// most twice of it, however long the key lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    input: InputIndex,
    since: i64,
    /// The newest bucket of an event of this input.
    newest: i64,
    current: (u64, u64),
    before: (u64, u64),
}

/// First and last offset of no event: any other pair covers it.
const NOTHING: (u64, u64) = (u64::MAX, 0);

impl Trace {
    /// Notes events of a bucket from `first` to `last`, in a window whose newest bucket is `newest`.
    pub fn add(&mut self, input: InputIndex, bucket: i64, newest: i64, (first, last): (Place, Place)) {
        if self.oldest <= newest - BUCKETS as i64 {
            self.evidence.retain(|(bucket, ..)| *bucket > newest - BUCKETS as i64);
            self.oldest = self.evidence.iter().map(|(bucket, ..)| *bucket).min().unwrap_or(bucket);
        }
        if self.evidence.len() == EVIDENCE_MAX {
            self.evidence.pop();
        }
        self.oldest = self.oldest.min(bucket);
        self.evidence.push((bucket, input, last));
        self.cover(bucket, newest, (input, first.offset, last.offset));
    }

    /// Notes a stretch of an input without which an event of a bucket would not have counted.
    pub fn cover(&mut self, bucket: i64, newest: i64, (input, first, last): Stretch) {
        match self.runs.iter().position(|run| run.input == input) {
            Some(run) => self.runs[run].add(bucket, first, last),
            None => self.follow(input, bucket, newest, (first, last)),
        }
    }

    /// An input gives its first event; those whose events have all left the window make room.
    fn follow(&mut self, input: InputIndex, bucket: i64, newest: i64, offsets: (u64, u64)) {
        if self.runs.len() >= INPUTS_MAX {
            self.runs.retain(|run| run.reaches(newest));
        }
        if self.runs.len() < INPUTS_MAX {
            self.runs.push(Run { input, since: bucket, newest: bucket, current: offsets, before: NOTHING });
        }
    }

    /// Reads what it points to. The number says nothing.
    pub fn look_ahead(&self) -> u64 {
        let evidence = self.evidence.last().map_or(0, |(bucket, ..)| *bucket as u64);
        self.runs.first().map_or(evidence, |run| evidence.wrapping_add(run.since as u64))
    }

    /// Forgets everything and keeps its memory.
    pub fn clear(&mut self) {
        self.evidence.clear();
        self.runs.clear();
    }

    /// What it takes beside itself, in bytes.
    pub fn bytes(&self) -> usize {
        beside(&self.evidence) + beside(&self.runs)
    }

    /// The positions kept, in journal order.
    pub fn evidence(&self, inputs: &[Input]) -> Vec<Position> {
        let named = |(_, input, place): &(i64, InputIndex, Place)| inputs[input.0 as usize].position(*place);
        let mut positions: Vec<Position> = self.evidence.iter().map(named).collect();
        positions.sort();
        positions.dedup();
        positions
    }

    /// The stretches that hold every event of a window whose newest bucket is `newest`.
    pub fn stretches(&self, newest: i64) -> Vec<Stretch> {
        let reaching = self.runs.iter().filter(|run| run.reaches(newest));
        reaching.map(Run::stretch).collect()
    }

    /// The runs that hold every event of a window whose newest bucket is `newest`, in journal order.
    pub fn spans(&self, newest: i64, inputs: &[Input]) -> Vec<Span> {
        let named = |(input, first, last): Stretch| inputs[input.0 as usize].span(first, last);
        let mut spans: Vec<Span> = self.stretches(newest).into_iter().map(named).collect();
        spans.sort();
        spans
    }
}

impl Run {
    /// Whether any of its events can be in a window whose newest bucket is `newest`.
    fn reaches(&self, newest: i64) -> bool {
        self.newest > newest - BUCKETS as i64
    }

    fn add(&mut self, bucket: i64, first: u64, last: u64) {
        self.newest = self.newest.max(bucket);
        let generations = (bucket - self.since).div_euclid(BUCKETS as i64);
        if generations >= 1 {
            self.before = if generations == 1 { self.current } else { NOTHING };
            self.current = NOTHING;
            self.since += generations * BUCKETS as i64;
        }
        self.current = cover(self.current, (first, last));
    }

    fn stretch(&self) -> Stretch {
        let (first, last) = cover(self.before, self.current);
        (self.input, first, last)
    }
}

fn cover(one: (u64, u64), other: (u64, u64)) -> (u64, u64) {
    (one.0.min(other.0), one.1.max(other.1))
}

/// What a list takes beside itself: nothing for its first element. Whether it once held more is not state.
fn beside<T>(list: &SmallVec<[T; 1]>) -> usize {
    if list.len() > 1 { size_of_val(&**list) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_that_left_the_window_make_room_and_leave_the_receipt() {
        let inputs: Vec<Input> = (0..300).map(|partition| Input { topic: "t".to_owned(), partition }).collect();
        let mut trace = Trace::default();
        for number in 0..300u16 {
            let (bucket, place) = (i64::from(number), Place { offset: 7, item: None });
            trace.add(InputIndex(number), bucket, bucket, (place, place));
        }
        let partitions: Vec<u32> = trace.spans(299, &inputs).iter().map(|span| span.partition).collect();
        assert_eq!(partitions, (300 - BUCKETS as u32..300).collect::<Vec<u32>>());
    }
}
