//! Reads records by position, each partition for itself. I/O.
//!
//! A cursor remembers where it stopped, so that reading on costs no search. Only durable frames are seen: the end comes
//! from the state. Deliberately without a cache of blocks: the kernel has one.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::event::Input;
use crate::journal::{Fetched, JournalError};

use super::heads::{Found, Heads, Stop, WINDOW_HEADS};
use super::names::segment_name;
use super::open::{corrupt, open_segment, stopped};
use super::shared::Shared;
use super::state::note_places;

/// Where a reader of one partition stands.
pub(super) struct Cursor {
    /// The offset it reads next.
    pub next: u64,
    place: Option<Place>,
}

struct Place {
    number: u64,
    heads: Heads,
}

/// What one fetch has gathered.
struct Gathered<'a> {
    input: &'a Input,
    blocks: Vec<Fetched>,
    bytes: usize,
    budget: usize,
    next: u64,
    end: u64,
}

impl Gathered<'_> {
    fn is_done(&self) -> bool {
        self.next >= self.end || (!self.blocks.is_empty() && self.bytes >= self.budget)
    }

    fn take(&mut self, fetched: Fetched) {
        let fetched = fetched.skip_to(self.next);
        self.next = fetched.offsets().end;
        self.bytes += fetched.bytes();
        self.blocks.push(fetched);
    }
}

impl Cursor {
    pub fn at(next: u64) -> Cursor {
        Cursor { next, place: None }
    }

    /// Records from its offset on, about `bytes`, and at least one block where there is one.
    pub fn fetch(&mut self, shared: &Shared, input: &Input, bytes: usize) -> Result<Vec<Fetched>, JournalError> {
        let there = shared.state().offsets(input);
        self.require(input, &there)?;
        let blocks = Vec::new();
        let mut gathered = Gathered { input, blocks, bytes: 0, budget: bytes, next: self.next, end: there.end };
        while !gathered.is_done() {
            let fetched = self.fetch_from_segment(shared, &mut gathered);
            if let Err(error) = fetched {
                self.place = None;
                // Retention may have taken the segment in the meantime.
                self.require(input, &shared.state().offsets(input))?;
                return Err(error);
            }
        }
        self.next = gathered.next;
        Ok(gathered.blocks)
    }

    fn require(&self, input: &Input, there: &Range<u64>) -> Result<(), JournalError> {
        if self.next < there.start {
            return Err(JournalError::Trimmed { input: input.clone(), from: self.next, start: there.start });
        }
        Ok(())
    }

    fn fetch_from_segment(&mut self, shared: &Shared, gathered: &mut Gathered<'_>) -> Result<(), JournalError> {
        let mut place = self.place_for(shared, gathered)?;
        let number = place.number;
        let before = gathered.next;
        while !gathered.is_done() {
            let found = place.heads.next().map_err(|stop| stopped(&*shared.disk, number, stop))?;
            let Some(found) = found else { break };
            let at = found.at;
            let taken = take_sections(&mut place.heads, &found, gathered);
            taken.map_err(|stop| stopped(&*shared.disk, number, stop))?;
            if begins_after(&found, gathered) {
                return Err(corrupt(&*shared.disk, number, at, "records before this frame are missing"));
            }
        }
        let at = place.heads.at();
        self.place = Some(place);
        if gathered.next == before && !gathered.is_done() && !continues(shared, number, gathered) {
            return Err(corrupt(&*shared.disk, number, at, "records of this segment are missing"));
        }
        Ok(())
    }

    /// Where it stood, if the next offset is in that segment; else the nearest remembered place before it.
    fn place_for(&mut self, shared: &Shared, gathered: &Gathered<'_>) -> Result<Place, JournalError> {
        let offset = gathered.next;
        let missing = || corrupt(&*shared.disk, 0, 0, "no segment holds this offset");
        loop {
            let state = shared.state();
            let index = state.segment_of(gathered.input, offset).ok_or_else(missing)?;
            let segment = &state.segments[index];
            let (number, end) = (segment.number, segment.end);
            if let Some(mut place) = self.place.take().filter(|place| place.number == number && self.next <= offset) {
                place.heads.extend(end);
                return Ok(place);
            }
            if segment.places.is_none() {
                drop(state);
                find_places(shared, number)?;
                continue;
            }
            let from = segment.place(gathered.input, offset);
            let log = state.log;
            drop(state);
            let (file, _) = open_segment(&*shared.disk, number)?;
            let title = shared.disk.title(&segment_name(number));
            let heads = Heads::new(file, title, Some(log), (from, end), WINDOW_HEADS);
            return Ok(Place { number, heads });
        }
    }
}

/// Whether what is still wanted lies in a later segment than the one just read to its end.
fn continues(shared: &Shared, number: u64, gathered: &Gathered<'_>) -> bool {
    let state = shared.state();
    let index = state.segment_of(gathered.input, gathered.next);
    index.is_some_and(|index| state.segments[index].number > number)
}

fn take_sections(heads: &mut Heads, found: &Found, gathered: &mut Gathered<'_>) -> Result<(), Stop> {
    for (which, section) in found.body.sections.iter().enumerate() {
        let offsets = section.base..section.base.saturating_add(u64::from(section.count));
        if section.input == *gathered.input && offsets.contains(&gathered.next) && gathered.next < gathered.end {
            gathered.take(heads.block(found, which)?);
        }
    }
    for (input, offsets) in &found.body.lost {
        if input == gathered.input && offsets.contains(&gathered.next) {
            gathered.take(Fetched::lost(input.clone(), found.header.appended_at, offsets.clone()));
        }
    }
    Ok(())
}

/// Whether a frame holds later records of the partition than the ones that are due.
fn begins_after(found: &Found, gathered: &Gathered<'_>) -> bool {
    let sections = &found.body.sections;
    !gathered.is_done() && sections.iter().any(|s| s.input == *gathered.input && s.base > gathered.next)
}

/// Walks the heads of a segment once, to remember where its partitions' records are.
fn find_places(shared: &Shared, number: u64) -> Result<(), JournalError> {
    let state = shared.state();
    let known = state.segment_index(number).map(|index| state.segments[index].end);
    let log = state.log;
    drop(state);
    let Some(end) = known else { return Ok(()) };
    let (file, _) = open_segment(&*shared.disk, number)?;
    let mut heads = Heads::new(file, shared.disk.title(&segment_name(number)), Some(log), (0, end), WINDOW_HEADS);
    let mut places = BTreeMap::new();
    while let Some(found) = heads.next().map_err(|stop| stopped(&*shared.disk, number, stop))? {
        note_places(&mut places, &found.body, found.at);
    }
    let mut state = shared.state_mut();
    if let Some(index) = state.segment_index(number) {
        state.segments[index].places = Some(places);
    }
    Ok(())
}
