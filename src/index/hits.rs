//! The first hits of a search, in order of time. Pure.
//!
//! Order is time, then input, offset and item, so that equal times have one order whatever segments they lie in, and a
//! next page begins exactly behind the last hit. Deliberately without documents: only places are kept.

use std::collections::BinaryHeap;

use tantivy::DocId;

use super::gather::{Gather, SegmentAddress};
use super::view::{SegmentView, View};
use crate::event::{Position, Time};

/// Which end of the time comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Newest,
    Oldest,
}

/// What a hit is ordered by: smaller comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    time: i64,
    /// Twice the place of the input among all inputs, plus one; even numbers are inputs the index does not know.
    input: u64,
    offset: u64,
    /// One more than the item; 0 where the record held one.
    item: u64,
}

/// A hit's key and where it lies.
pub(super) type Found = (Key, SegmentAddress, DocId);

/// The first hits so far, and how many there were in all.
pub(super) struct Hits<'a> {
    view: &'a View,
    sort: Sort,
    limit: usize,
    after: Option<Key>,
    pub(super) total: u64,
    first: BinaryHeap<Found>,
    at: SegmentAddress,
    /// Per input of the split: its part of the key.
    inputs: Vec<u64>,
    times: Vec<i64>,
}

impl Key {
    fn sorted(self, sort: Sort) -> Key {
        match sort {
            Sort::Oldest => self,
            Sort::Newest => Key { time: !self.time, input: !self.input, offset: !self.offset, item: !self.item },
        }
    }
}

impl<'a> Hits<'a> {
    /// `after`: the last hit of the page before.
    pub(super) fn new(view: &'a View, sort: Sort, limit: usize, after: Option<&(Time, Position)>) -> Self {
        let at = SegmentAddress { split: 0, segment: 0 };
        let after = after.map(|(time, position)| key_of(view, *time, position).sorted(sort));
        Hits { view, sort, limit, after, total: 0, first: BinaryHeap::new(), at, inputs: Vec::new(), times: Vec::new() }
    }

    /// The first hits of several threads, in order.
    pub(super) fn merge(all: Vec<Hits<'_>>, limit: usize) -> Vec<Found> {
        let mut first: Vec<Found> = all.into_iter().flat_map(|hits| hits.first.into_vec()).collect();
        first.sort_unstable();
        first.truncate(limit);
        first
    }

    fn key(&self, segment: &SegmentView, document: DocId, time: i64) -> Option<Key> {
        let (input, place) = segment.place(document)?;
        let input = self.inputs.get(input as usize).copied().unwrap_or_default();
        let item = place.item.map_or(0, |item| u64::from(item) + 1);
        Some(Key { time, input, offset: place.offset, item }.sorted(self.sort))
    }

    fn offer(&mut self, segment: &SegmentView, document: DocId, time: i64) {
        if self.limit == 0 {
            return;
        }
        let sorted_time = if self.sort == Sort::Newest { !time } else { time };
        let full = self.first.len() >= self.limit;
        // Most documents of a large result end here, with one comparison.
        if full && self.first.peek().is_some_and(|(worst, ..)| sorted_time > worst.time) {
            return;
        }
        if self.after.is_some_and(|after| sorted_time < after.time) {
            return;
        }
        let Some(key) = self.key(segment, document, time) else { return };
        if self.after.is_some_and(|after| key <= after) {
            return;
        }
        self.first.push((key, self.at, document));
        if self.first.len() > self.limit {
            self.first.pop();
        }
    }
}

fn key_of(view: &View, time: Time, position: &Position) -> Key {
    let wanted = (&position.topic, position.partition);
    let found = view.inputs.binary_search_by(|input| (&input.topic, input.partition).cmp(&wanted));
    let input = match found {
        Ok(at) => 2 * at as u64 + 1,
        Err(at) => 2 * at as u64,
    };
    let item = position.item.map_or(0, |item| u64::from(item) + 1);
    Key { time: time.0, input, offset: position.offset, item }
}

impl Gather for Hits<'_> {
    fn begin(&mut self, at: SegmentAddress, _: &SegmentView) -> tantivy::Result<()> {
        self.at = at;
        let view = self.view;
        let place = |input| view.inputs.binary_search(&input).map_or(0, |at| 2 * at as u64 + 1);
        self.inputs = view.splits[at.split].payload.parts.iter().map(|part| place(part.input())).collect();
        Ok(())
    }

    fn take(&mut self, segment: &SegmentView, documents: &[DocId]) {
        self.total += documents.len() as u64;
        let mut times = std::mem::take(&mut self.times);
        times.resize(documents.len(), 0);
        segment.timestamp.values.get_vals(documents, &mut times);
        documents.iter().zip(&times).for_each(|(document, time)| self.offer(segment, *document, *time));
        self.times = times;
    }

    fn end(&mut self, _: &SegmentView) -> tantivy::Result<()> {
        Ok(())
    }
}
