//! What the stages say of themselves, for status and metrics. Pure but for atomics and locks.
//!
//! Threads write, anyone reads. Deliberately without names of metrics: those are given where they are shown.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::detect::window::TableCounters;
use crate::event::outcome::{Refusal, ResponseResult};
use crate::event::{Input, Outcome, Severity, Time};
use crate::fold::{DecideCounters, Folded, Folder, IngestCounters, InputState};
use crate::index::WriterCounts;
use crate::respond;

/// All of them.
#[derive(Default)]
pub struct Gauges {
    inputs: Mutex<Vec<InputGauge>>,
    decide: Mutex<DecideGauge>,
    index: Mutex<(WriterCounts, u64)>,
    /// Faults of the index since the start.
    pub index_faults: AtomicU64,
    pub alerts: AtomicU64,
    pub blocks: AtomicU64,
    pub lifts: AtomicU64,
    pub dead_letters: AtomicU64,
    by_rule: Mutex<BTreeMap<String, u64>>,
    by_severity: [AtomicU64; SEVERITIES.len()],
    /// Blocks that a gate refused, by the order of [`Refusal`].
    pub refusals: [AtomicU64; REFUSALS],
}

/// How bad an alert can be.
pub const SEVERITIES: [Severity; 4] = [Severity::Minor, Severity::Moderate, Severity::Major, Severity::Critical];
/// The gates that refuse.
const REFUSALS: usize = 12;

/// One raw partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputGauge {
    pub input: Input,
    /// The next record of it.
    pub next: u64,
    pub counters: IngestCounters,
    pub high: Option<Time>,
    pub appended_at: Option<Time>,
}

/// The fold that decides.
#[derive(Clone, Debug, Default)]
pub struct DecideGauge {
    /// The next record of `sekisho.signals`.
    pub next: u64,
    pub stream: Option<Time>,
    pub journal: Option<Time>,
    pub counters: DecideCounters,
    pub windows: TableCounters,
    pub respond: Option<respond::Counters>,
}

impl Gauges {
    /// How each input stands.
    pub fn note_inputs<'a>(&self, states: impl Iterator<Item = (&'a Input, &'a InputState)>) {
        let mut inputs = held(&self.inputs);
        let mut count = 0;
        for (index, (input, state)) in states.enumerate() {
            count = index + 1;
            let (next, InputState { high, appended_at, counters, .. }) = (state.next(), *state);
            match inputs.get_mut(index).filter(|known| known.input == *input) {
                Some(known) => {
                    (known.next, known.counters, known.high, known.appended_at) = (next, counters, high, appended_at);
                }
                None => {
                    // Another process may have taken one over: those behind it have moved up.
                    inputs.truncate(index);
                    inputs.push(InputGauge { input: input.clone(), next, counters, high, appended_at });
                }
            }
        }
        inputs.truncate(count);
    }

    /// What a step of decide led to.
    pub fn note_decided(&self, folder: &Folder, folded: &Folded) {
        folded.outcomes.iter().for_each(|outcome| self.note_outcome(outcome));
        let decide = folder.decide();
        *held(&self.decide) = DecideGauge {
            next: folder.next(),
            stream: decide.stream(),
            journal: decide.journal(),
            counters: decide.counters(),
            windows: decide.window_counters(),
            respond: Some(decide.responder().counters()),
        };
    }

    /// What the index has counted, and what it missed.
    pub fn note_index(&self, counts: &WriterCounts, missed: u64) {
        *held(&self.index) = (*counts, missed);
    }

    /// How each input stands.
    pub fn inputs(&self) -> Vec<InputGauge> {
        held(&self.inputs).clone()
    }

    /// How decide stands.
    pub fn decide(&self) -> DecideGauge {
        held(&self.decide).clone()
    }

    /// What the index has counted, and what it missed.
    pub fn index(&self) -> (WriterCounts, u64) {
        *held(&self.index)
    }

    /// Alerts of a rule.
    pub fn alerts_of(&self, rule: &str) -> u64 {
        held(&self.by_rule).get(rule).copied().unwrap_or_default()
    }

    /// Alerts that are so bad.
    pub fn alerts_at(&self, severity: Severity) -> u64 {
        self.by_severity[self::severity(severity)].load(Ordering::Relaxed)
    }

    fn note_outcome(&self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Alert(alert) => {
                self.by_severity[severity(alert.sekisho.severity)].fetch_add(1, Ordering::Relaxed);
                count_rule(&mut held(&self.by_rule), &alert.rule.id);
                if let (ResponseResult::Refused, Some(reason)) =
                    (alert.sekisho.response.result, alert.sekisho.response.reason)
                {
                    self.refusals[gate(reason)].fetch_add(1, Ordering::Relaxed);
                }
                &self.alerts
            }
            Outcome::Block(_) => &self.blocks,
            Outcome::Lift(_) => &self.lifts,
            Outcome::DeadLetter(_) => &self.dead_letters,
            Outcome::Incident(_) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The place of a severity among all.
fn severity(severity: Severity) -> usize {
    (severity as usize).min(SEVERITIES.len() - 1)
}

fn count_rule(counts: &mut BTreeMap<String, u64>, rule: &str) {
    match counts.get_mut(rule) {
        Some(count) => *count += 1,
        None => drop(counts.insert(rule.to_owned(), 1)),
    }
}

/// The place of a gate among the refusals.
pub fn gate(reason: Refusal) -> usize {
    (reason as usize).min(REFUSALS - 1)
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
