//! Where the events of a window are in the journal: evidence positions and spans. Pure.

use serde::{Deserialize, Serialize};

use crate::detect::plan::BUCKETS;
use crate::event::{Input, Place, Position, Span};

use super::InputIndex;

/// A finding lists at most this many positions (design §8.7); its spans hold the rest.
pub const EVIDENCE_MAX: usize = 8;
/// A window follows at most this many inputs; a receipt over more would be no receipt to read.
pub const INPUTS_MAX: usize = 16;

/// Positions of a window's events: eight of them, and per input the run that holds all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// In the order they came: the first seven of the window, and the last.
    evidence: Vec<(i64, InputIndex, Place)>,
    runs: Vec<Run>,
}

/// First and last offset per input, in two generations of a full window each, so that a span covers the window and at
/// most twice of it, however long the key lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    input: InputIndex,
    since: i64,
    current: Option<(u64, u64)>,
    before: Option<(u64, u64)>,
}

impl Trace {
    /// Notes events of a bucket from `first` to `last`, in a window whose newest bucket is `newest`.
    pub fn add(&mut self, input: InputIndex, bucket: i64, newest: i64, (first, last): (Place, Place)) {
        self.evidence.retain(|(bucket, ..)| *bucket > newest - BUCKETS as i64);
        if self.evidence.len() == EVIDENCE_MAX {
            self.evidence.pop();
        }
        self.evidence.push((bucket, input, last));
        match self.runs.iter().position(|run| run.input == input) {
            Some(run) => self.runs[run].add(bucket, first.offset, last.offset),
            None if self.runs.len() < INPUTS_MAX => {
                let current = Some((first.offset, last.offset));
                // Nearly every window has one input.
                self.runs.reserve_exact(1);
                self.runs.push(Run { input, since: bucket, current, before: None });
            }
            None => {}
        }
    }

    /// Forgets everything and keeps its memory.
    pub fn clear(&mut self) {
        self.evidence.clear();
        self.runs.clear();
    }

    /// The positions kept, in journal order.
    pub fn evidence(&self, inputs: &[Input]) -> Vec<Position> {
        let named = |(_, input, place): &(i64, InputIndex, Place)| inputs[input.0 as usize].position(*place);
        let mut positions: Vec<Position> = self.evidence.iter().map(named).collect();
        positions.sort();
        positions.dedup();
        positions
    }

    /// The runs that hold every event of the window, in journal order.
    pub fn spans(&self, inputs: &[Input]) -> Vec<Span> {
        let mut spans: Vec<Span> = self.runs.iter().filter_map(|run| run.span(inputs)).collect();
        spans.sort();
        spans
    }
}

impl Run {
    fn add(&mut self, bucket: i64, first: u64, last: u64) {
        let generations = (bucket - self.since).div_euclid(BUCKETS as i64);
        if generations >= 1 {
            self.before = if generations == 1 { self.current } else { None };
            self.current = None;
            self.since += generations * BUCKETS as i64;
        }
        let (low, high) = self.current.unwrap_or((first, last));
        self.current = Some((low.min(first), high.max(last)));
    }

    fn span(&self, inputs: &[Input]) -> Option<Span> {
        let both = self.before.into_iter().chain(self.current);
        let (first, last) = both.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        Some(inputs[self.input.0 as usize].span(first, last))
    }
}
