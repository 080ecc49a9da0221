//! Batches → outcomes: one order, one state. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::detect::window::{InputIndex, TableCounters};
use crate::detect::{self, Correlator, Moved, Origin};
use crate::event::{
    Command, Finding, Input, Order, Outcome, Pack, RuleIndex, SECOND, ServiceIndex, Signal, Tally, Time,
};
use crate::respond::{self, OrderedBy, Responder};

use super::batch::{Batch, TALLIES_MAX, Tallies};
use super::clock::Clock;

/// Inputs that decide tells apart: what an [`InputIndex`] holds. A node has as many as it follows files.
const INPUTS_MAX: usize = u16::MAX as usize;
/// So many tallies are looked up ahead: enough that their waits for memory overlap, few enough to stay in the cache.
const LOOKED_AHEAD: usize = 32;

/// The fold that decides: windows, incidents, blocks, budgets.
pub struct Decide {
    catalog: Arc<Catalog>,
    inputs: Vec<Input>,
    clock: Clock,
    /// Tallies whose second stream time has not passed yet.
    pending: BTreeMap<i64, Tallies>,
    correlator: Correlator,
    responder: Responder,
    counters: DecideCounters,
    /// Where set, findings of other rules are not concluded: for deriving one block again.
    only: Option<RuleIndex>,
    findings: Vec<Finding>,
}

/// What decide counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecideCounters {
    pub signals: u64,
    pub tallies: u64,
    /// Tallies beyond the limit.
    pub tallies_dropped: u64,
    pub findings: u64,
    /// Packs of inputs beyond those that can be told apart.
    pub packs_dropped: u64,
}

/// The state of a [`Decide`]: what a snapshot holds.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DecideSnapshot {
    inputs: Vec<Input>,
    clock: Clock,
    pending: Vec<(i64, Tallies)>,
    correlator: detect::Snapshot,
    responder: respond::State,
    counters: DecideCounters,
}

impl Decide {
    /// Nothing decided yet. `seed` cannot be seen in any result.
    pub fn new(catalog: Arc<Catalog>, inputs: Vec<Input>, seed: u64) -> Decide {
        let correlator = Correlator::new(Arc::clone(&catalog.plans), Arc::clone(&catalog.services), seed);
        Decide {
            responder: Responder::new(Arc::clone(&catalog.respond)),
            correlator,
            clock: Clock::new(inputs.len()),
            inputs,
            pending: BTreeMap::new(),
            counters: DecideCounters::default(),
            only: None,
            findings: Vec::new(),
            catalog,
        }
    }

    /// A fold that concludes findings of one rule only, each time its condition is met: for deriving a block again from
    /// its receipt. The records of the receipt do not say since when a key was silent.
    pub fn new_for_rule(catalog: Arc<Catalog>, inputs: Vec<Input>, rule: RuleIndex) -> Decide {
        let mut decide = Decide { only: Some(rule), ..Decide::new(catalog, inputs, 0) };
        decide.correlator.speak_always();
        decide
    }

    /// The index of an input; new ones are numbered in the order in which they come. `None` beyond what an index can say.
    fn input(&mut self, input: &Input) -> Option<InputIndex> {
        let known = self.inputs.iter().position(|known| known == input);
        let index = known.unwrap_or(self.inputs.len());
        if known.is_none() && index < INPUTS_MAX {
            self.inputs.push(input.clone());
        }
        (index < INPUTS_MAX).then_some(InputIndex(index as u16))
    }

    /// Folds one pack of the journal in, and adds what leaves. `appended_at` is the journal's time of the pack itself:
    /// an empty one says that up to then nothing more came.
    pub fn pack(&mut self, pack: Pack, appended_at: Time, out: &mut Vec<Outcome>) {
        let Some(input) = self.input(&pack.input) else {
            self.counters.packs_dropped += 1;
            return;
        };
        let quiet = pack.from == pack.to;
        let mut batch = Batch::default();
        batch.push_pack(input, Pack { appended_at: if quiet { appended_at } else { pack.appended_at }, ..pack });
        self.fold(&mut batch, out);
    }

    /// Carries an order out at the journal's time.
    ///
    /// # Errors
    /// Why it was refused, in words.
    pub fn command(&mut self, command: &Command, at: Time, out: &mut Vec<Outcome>) -> Result<(), String> {
        self.clock.journal = self.clock.journal.max(Some(at));
        let (by, responder) = (command.by.as_str(), &mut self.responder);
        match &command.order {
            Order::Block { target, level, ttl, reason, import } => {
                let ordered_by = if *import { OrderedBy::Import } else { OrderedBy::Operator };
                let (by, reason) = (by.to_owned(), reason.clone());
                let order = respond::Order { target: *target, level: *level, ttl: *ttl, ordered_by, by, reason, at };
                responder.operator_block(&order, out).map_err(|refusal| refusal.to_string())
            }
            Order::Lift { target } => {
                responder.operator_lift(*target, by, at, out);
                Ok(())
            }
            Order::Allow { networks, reason: _ } => {
                responder.allow(networks, by, at, out).map_err(|full| full.to_string())
            }
            Order::Disallow { networks } => responder.disallow(networks, at, out),
            Order::Thaw => {
                responder.thaw(at, out);
                Ok(())
            }
        }
    }

    /// From now on another catalog judges. Windows of rules that are the same in both go on, those of others end: no
    /// signal of theirs will come.
    pub fn switch(&mut self, catalog: Arc<Catalog>, out: &mut Vec<Outcome>) {
        let rule = |old: RuleIndex| {
            let old = &self.catalog.rules[usize::from(old.0)];
            let same = catalog.rules.iter().position(|new| new.id == old.id && new.version == old.version);
            same.map(|place| RuleIndex(place as u16))
        };
        let service = |old: ServiceIndex| {
            let name = &self.catalog.services[usize::from(old.0)];
            catalog.services.iter().position(|new| new == name).map(|place| ServiceIndex(place as u16))
        };
        let moved = Moved { rule: &rule, service: &service };
        self.correlator.switch(Arc::clone(&catalog.plans), Arc::clone(&catalog.services), &moved);
        self.pending.values_mut().for_each(|tallies| tallies.rename_services(service));
        self.responder.set_settings(Arc::clone(&catalog.respond), out);
        self.catalog = catalog;
    }

    /// The catalog that judges now.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The journal's time: the largest that was folded.
    pub fn journal(&self) -> Option<Time> {
        self.clock.journal
    }

    /// Folds a batch in, empties it, and adds what leaves.
    pub fn fold(&mut self, batch: &mut Batch, out: &mut Vec<Outcome>) {
        self.take_tallies(batch);
        for (input, signal) in batch.steps.drain(..) {
            self.advance(input, Some(signal.high), signal.appended_at, out);
            self.signal(input, &signal, out);
        }
        for (input, end) in std::mem::take(&mut batch.ends) {
            self.advance(input, end.high, end.appended_at, out);
            if let Some(quiet_until) = end.quiet_until {
                self.advance(input, None, quiet_until, out);
            }
        }
    }

    /// Ends a recording: stream time advances until every open tally counts, by the lateness and a second at least.
    /// Nothing expires by it, for the journal's time stays.
    pub fn finish(&mut self, out: &mut Vec<Outcome>) {
        let Some(stream) = self.clock.stream else { return };
        let last = self.pending.last_key_value().map_or(stream, |(second, _)| Time(*second * SECOND).max(stream));
        let end = last.plus(self.catalog.time.lateness + SECOND);
        self.clock.stream = Some(end);
        self.release(end, self.clock.journal.unwrap_or(end), out);
    }

    /// Stream time: how far everything is believed to have been seen. It never goes back.
    pub fn stream(&self) -> Option<Time> {
        self.clock.stream
    }

    /// Counters of this fold.
    pub fn counters(&self) -> DecideCounters {
        self.counters
    }

    /// Counters of the windows.
    pub fn window_counters(&self) -> TableCounters {
        self.correlator.counters()
    }

    /// The response's state.
    pub fn responder(&self) -> &Responder {
        &self.responder
    }

    /// The whole state.
    pub fn save(&self) -> DecideSnapshot {
        DecideSnapshot {
            inputs: self.inputs.clone(),
            clock: self.clock.clone(),
            pending: self.pending.iter().map(|(second, tallies)| (*second, tallies.clone())).collect(),
            correlator: self.correlator.save(),
            responder: self.responder.state().clone(),
            counters: self.counters,
        }
    }

    /// The fold that [`Decide::save`] described, under the same catalog.
    pub fn restore(catalog: Arc<Catalog>, snapshot: DecideSnapshot, seed: u64) -> Decide {
        let mut decide = Decide::new(Arc::clone(&catalog), snapshot.inputs, seed);
        decide.clock = snapshot.clock;
        decide.pending = snapshot.pending.into_iter().collect();
        decide.correlator.restore(snapshot.correlator, seed);
        decide.responder = Responder::restore(Arc::clone(&catalog.respond), snapshot.responder);
        decide.counters = snapshot.counters;
        decide
    }

    fn take_tallies(&mut self, batch: &mut Batch) {
        self.counters.tallies_dropped += std::mem::take(&mut batch.tallies.dropped);
        let mut held = self.held();
        for (input, tally) in batch.tallies.drain() {
            if held >= TALLIES_MAX {
                self.pending.values_mut().for_each(Tallies::sum_up);
                held = self.held();
            }
            if held >= TALLIES_MAX {
                self.counters.tallies_dropped += 1;
                continue;
            }
            let second = self.pending.entry(tally.second).or_default();
            held -= second.len();
            second.add(input, tally);
            held += second.len();
        }
    }

    fn held(&self) -> usize {
        self.pending.values().map(Tallies::len).sum()
    }

    fn advance(&mut self, input: InputIndex, high: Option<Time>, appended_at: Time, out: &mut Vec<Outcome>) {
        // Before the first record no time bounds when a second was due.
        let before = self.clock.journal.unwrap_or(Time::MIN);
        self.clock.note(input.0 as usize, high, appended_at, self.catalog.time.idle);
        if let Some(stream) = self.clock.stream {
            self.release(stream, before, out);
            let journal = self.clock.journal.unwrap_or(appended_at);
            self.responder.advance(stream, journal, out);
        }
    }

    /// Lets every tally count whose second stream time has passed by the lateness, in order. Each second counts at the
    /// journal's time at which that became so, so that the size of the step cannot be seen.
    fn release(&mut self, stream: Time, before: Time, out: &mut Vec<Outcome>) {
        let journal = self.clock.journal.unwrap_or(before);
        let delay = journal.since(stream).max(0);
        while let Some(entry) = self.pending.first_entry() {
            let due = Time((*entry.key() + 1) * SECOND).plus(self.catalog.time.lateness);
            if due > stream {
                return;
            }
            let mut tallies = entry.remove();
            let at = before.max(due.plus(delay).min(journal));
            self.responder.advance(due, at, out);
            for near in tallies.take_sorted().chunks(LOOKED_AHEAD) {
                std::hint::black_box(self.look_ahead(near));
                near.iter().for_each(|(input, tally)| self.tally(*input, tally, at, out));
            }
        }
    }

    /// Looks up what the next tallies will need, one beside the other, so that memory is waited for once and not once per
    /// tally. The sum says nothing.
    fn look_ahead(&self, tallies: &[(InputIndex, Tally)]) -> u64 {
        let look = |(_, tally): &(InputIndex, Tally)| {
            let service = &self.catalog.services[tally.service.0 as usize];
            self.responder.look_ahead(tally, service).wrapping_add(self.correlator.look_ahead(tally))
        };
        tallies.iter().map(look).fold(0, u64::wrapping_add)
    }

    fn tally(&mut self, input: InputIndex, tally: &Tally, journal: Time, out: &mut Vec<Outcome>) {
        self.counters.tallies += 1;
        let service = &self.catalog.services[tally.service.0 as usize];
        self.responder.observe(tally, service, out);
        let origin = Origin { input, inputs: &self.inputs, appended_at: journal };
        self.correlator.tally(tally, origin, &mut self.findings);
        self.conclude(out);
    }

    fn signal(&mut self, input: InputIndex, signal: &Signal, out: &mut Vec<Outcome>) {
        self.counters.signals += 1;
        let journal = self.clock.journal.unwrap_or(signal.appended_at);
        let origin = Origin { input, inputs: &self.inputs, appended_at: journal };
        self.findings.extend(self.correlator.signal(signal, origin));
        self.conclude(out);
    }

    fn conclude(&mut self, out: &mut Vec<Outcome>) {
        for finding in self.findings.drain(..) {
            if self.only.is_some_and(|only| only != finding.rule) {
                continue;
            }
            self.counters.findings += 1;
            self.responder.respond(&finding, out);
        }
    }
}
