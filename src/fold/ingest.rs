//! Sightings → batches: each item's place in time, per input, in journal order. Pure.
//!
//! Carries one number per input, the largest windowed time so far, so that order is judged alike whatever the batch.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, PipelineIndex};
use crate::detect::group_of;
use crate::detect::window::InputIndex;
use crate::detect::{Measure, Plan};
use crate::event::{Input, Pack, Place, Signal, Tally, Time, Value};

use super::batch::{Batch, End};
use super::examine::{Sighting, Sightings};

/// Ingest of any number of inputs.
pub struct Ingest {
    catalog: Arc<Catalog>,
    inputs: Vec<Input>,
    states: Vec<InputState>,
}

/// Where one input is, and what was counted there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputState {
    /// The largest windowed time so far.
    pub high: Option<Time>,
    /// The largest `appended_at` so far.
    pub appended_at: Option<Time>,
    /// The last item that was placed.
    last: Option<Place>,
    pub counters: IngestCounters,
}

/// What happened to the items of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestCounters {
    pub records: u64,
    pub events: u64,
    pub bytes: u64,
    pub flawed: u64,
    pub undecodable: u64,
    /// Too old for any window.
    pub late: u64,
    /// Behind by more than the lateness: counted at once.
    pub out_of_order: u64,
    /// Ahead of the journal: the journal's time was used.
    pub future: u64,
    /// At or below the known position: without effect.
    pub repeated: u64,
}

/// What the windowed time of an item turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    InOrder(Time),
    OutOfOrder(Time),
    Late,
}

impl Ingest {
    /// Ingest of these inputs, from their beginnings.
    pub fn new(catalog: Arc<Catalog>, inputs: Vec<(Input, PipelineIndex)>) -> Ingest {
        let inputs: Vec<Input> = inputs.into_iter().map(|(input, _)| input).collect();
        let states = vec![InputState::default(); inputs.len()];
        Ingest { catalog, inputs, states }
    }

    /// The inputs, by index.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The index of an input; a new one is taken up where it had come to.
    pub fn input(&mut self, input: &Input, state: impl FnOnce() -> InputState) -> usize {
        if let Some(known) = self.inputs.iter().position(|known| known == input) {
            return known;
        }
        self.inputs.push(input.clone());
        self.states.push(state());
        self.inputs.len() - 1
    }

    /// No longer knows an input, which another process goes on with: gives the index it had. Those behind it move up, so
    /// no batch may hold anything then.
    pub fn forget(&mut self, input: &Input) -> Option<usize> {
        let index = self.inputs.iter().position(|known| known == input)?;
        self.inputs.remove(index);
        self.states.remove(index);
        Some(index)
    }

    /// The pack of a quiet input: nothing but its place, so that time goes on (design §3).
    pub fn quiet_pack(&self, input: usize) -> Pack {
        let InputState { high, appended_at, .. } = self.states[input];
        let next = self.states[input].next();
        Pack {
            input: self.inputs[input].clone(),
            from: next,
            to: next,
            appended_at: appended_at.unwrap_or_default(),
            high,
            catalog: self.catalog.hash,
            signals: Vec::new(),
            tallies: Vec::new(),
        }
    }

    /// Where an input is, and its counters.
    pub fn state(&self, input: usize) -> &InputState {
        &self.states[input]
    }

    /// Goes on where an input had come to: for folding a stretch of it as it was folded within the whole.
    pub fn resume(&mut self, input: usize, state: InputState) {
        self.states[input] = state;
    }

    /// A record that gave no sighting, as one that our own code gave up on, still lies in its pack.
    pub fn cover(&mut self, input: usize, offset: u64, appended_at: Time, batch: &mut Batch) {
        let state = &mut self.states[input];
        let place = Place { offset, item: None };
        if state.last.is_some_and(|last| place <= last) {
            return;
        }
        let from = state.from(offset);
        state.last = Some(place);
        let appended_at = state.appended_at.map_or(appended_at, |known| known.max(appended_at));
        state.appended_at = Some(appended_at);
        note_end(batch, InputIndex(input as u16), (from, offset), appended_at, state.high);
    }

    /// Places one sighting of an input, with the journal's time of its record, and adds what follows to the batch.
    /// An item at or below the last one placed changes nothing (law 4).
    pub fn place(
        &mut self,
        input: usize,
        (sightings, index): (&Sightings, usize),
        appended_at: Time,
        batch: &mut Batch,
    ) {
        let sighting = &sightings.items[index];
        let place = Place { offset: sighting.offset, item: sighting.item };
        let from = self.states[input].from(place.offset);
        let Some(placed) = self.pass(input, (sightings, index), appended_at) else { return };
        let InputState { appended_at, high, .. } = self.states[input];
        let appended_at = appended_at.unwrap_or_default();
        let input_index = InputIndex(input as u16);
        note_end(batch, input_index, (from, place.offset), appended_at, high);
        let (time, in_order) = match placed {
            Placed::Late => return,
            Placed::InOrder(time) => (time, true),
            Placed::OutOfOrder(time) => (time, false),
        };
        let moment = Moment { input: input_index, time, appended_at, high: high.unwrap_or(time), place };
        if in_order {
            moment.tally(sighting, batch);
        } else {
            moment.signal_measures(&self.catalog, sighting, batch);
        }
        moment.signal_matches(sightings, sighting, batch);
    }

    /// Gives one sighting its place in time, and nothing to a batch; `None` where it was placed before.
    pub fn pass(&mut self, input: usize, (sightings, index): (&Sightings, usize), appended_at: Time) -> Option<Placed> {
        let sighting = &sightings.items[index];
        let place = Place { offset: sighting.offset, item: sighting.item };
        let state = &mut self.states[input];
        if state.last.is_some_and(|last| place <= last) {
            state.counters.repeated += 1;
            return None;
        }
        state.count(sighting);
        state.last = Some(place);
        let appended_at = state.appended_at.map_or(appended_at, |known| known.max(appended_at));
        state.appended_at = Some(appended_at);
        Some(state.windowed(&self.catalog, sighting.claimed, appended_at))
    }
}

impl InputState {
    /// The offset behind the last item that was placed.
    pub fn next(&self) -> u64 {
        self.last.map_or(0, |last| last.offset + 1)
    }

    /// Where a pack begins whose first record is this: where the one before ended, so that packs tile over offsets that
    /// hold nothing, as the markers of transactions on Kafka.
    fn from(&self, offset: u64) -> u64 {
        self.last.map_or(offset, |last| (last.offset + 1).min(offset))
    }

    fn count(&mut self, sighting: &Sighting) {
        let counters = &mut self.counters;
        let same_record = self.last.is_some_and(|last| last.offset == sighting.offset);
        counters.records += u64::from(!same_record);
        counters.events += 1;
        counters.bytes += u64::from(sighting.bytes);
        counters.flawed += u64::from(sighting.flawed);
        counters.undecodable += u64::from(sighting.undecodable);
    }

    /// The time used in windows (design §7).
    fn windowed(&mut self, catalog: &Catalog, claimed: Option<Time>, appended_at: Time) -> Placed {
        let times = &catalog.time;
        let claimed = claimed.unwrap_or(appended_at);
        if appended_at.since(claimed) > times.past {
            self.counters.late += 1;
            return Placed::Late;
        }
        let ahead = claimed.since(appended_at) > times.future;
        self.counters.future += u64::from(ahead);
        let time = if ahead { appended_at } else { claimed };
        self.high = self.high.max(Some(time));
        let behind = self.high.map_or(0, |high| high.since(time));
        if behind > times.grace {
            self.counters.late += 1;
            Placed::Late
        } else if behind > times.lateness {
            self.counters.out_of_order += 1;
            Placed::OutOfOrder(time)
        } else {
            Placed::InOrder(time)
        }
    }
}

/// An item's place in time and in the journal.
struct Moment {
    input: InputIndex,
    time: Time,
    appended_at: Time,
    high: Time,
    place: Place,
}

impl Moment {
    fn tally(&self, sighting: &Sighting, batch: &mut Batch) {
        if sighting.counts == Default::default() {
            return;
        }
        let tally = Tally {
            second: self.time.second(),
            client: sighting.client,
            service: sighting.service,
            counts: sighting.counts,
            first: self.place,
            last: self.place,
        };
        batch.tallies.add(self.input, tally);
    }

    /// What would have been tallied travels as single signals, so that a client that dawdles does not slip out.
    fn signal_measures(&self, catalog: &Catalog, sighting: &Sighting, batch: &mut Batch) {
        for (plan, measure) in catalog.plans.measured() {
            if let Some(value) = measured_value(measure, sighting) {
                self.signal_measure(catalog, (plan, value), sighting, batch);
            }
        }
    }

    fn signal_measure(&self, catalog: &Catalog, measured: (&Plan, i64), sighting: &Sighting, batch: &mut Batch) {
        let (plan, value) = measured;
        let service = &catalog.services[sighting.service.0 as usize];
        let Some(group) = group_of(plan, sighting.client, service) else { return };
        let value = Some(Value::Number(value));
        batch.steps.push((self.input, self.signal(plan.rule, sighting, (group.into(), value))));
    }

    fn signal_matches(&self, sightings: &Sightings, sighting: &Sighting, batch: &mut Batch) {
        for matched in sightings.matches(sighting) {
            let what = (matched.group.clone(), matched.value.clone());
            batch.steps.push((self.input, self.signal(matched.rule, sighting, what)));
        }
    }

    fn signal(
        &self,
        rule: crate::event::RuleIndex,
        sighting: &Sighting,
        (group, value): (Box<[Value]>, Option<Value>),
    ) -> Signal {
        Signal {
            rule,
            time: self.time,
            appended_at: self.appended_at,
            high: self.high,
            place: self.place,
            client: sighting.client,
            service: sighting.service,
            group,
            value,
        }
    }
}

/// What one event adds to a measure; `None` where it does not count for it.
fn measured_value(measure: Measure, sighting: &Sighting) -> Option<i64> {
    let counts = &sighting.counts;
    match measure {
        Measure::Requests => (counts.requests > 0).then_some(0),
        Measure::ErrorShare => (counts.requests > 0).then_some(i64::from(counts.errors)),
        Measure::DurationSeconds => (counts.timed > 0).then_some(counts.duration_ms as i64),
    }
}

fn note_end(batch: &mut Batch, input: InputIndex, (from, offset): (u64, u64), appended_at: Time, high: Option<Time>) {
    let end = batch.ends.entry(input).or_insert(End { from, to: offset, appended_at, high, quiet_until: None });
    *end = End { from: end.from, to: offset + 1, appended_at, high, quiet_until: None };
}
