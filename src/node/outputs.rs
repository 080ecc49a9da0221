//! Outcomes → records of the topics that others read, in the shapes of the outputs sheet. I/O only by its neighbours.

use std::collections::HashMap;

pub use crate::api::projection::{ALERTS, ANSWERS, BLOCKS, INCIDENTS};
use crate::event::outcome::DeadLetter;
use crate::event::{Answer, Input, Outcome, write_json};
use crate::fold::Folded;
use crate::journal::{NewRecord, Records};

use super::mutants::{self, Mutant};

pub const DEAD_LETTERS: &str = "sekisho.dead-letters";

/// The topics of what leaves, in the order in which a commit writes them.
const TOPICS: [&str; 5] = [ALERTS, BLOCKS, INCIDENTS, ANSWERS, DEAD_LETTERS];

/// Records by topic.
#[derive(Default)]
pub struct Outputs {
    records: [Records; TOPICS.len()],
    line: Vec<u8>,
}

impl Outputs {
    /// What a fold led to, as records.
    pub fn of(folded: &Folded) -> Outputs {
        let mut outputs = Outputs::default();
        if mutants::has(Mutant::HashOrder) {
            let shuffled: HashMap<usize, &Outcome> = folded.outcomes.iter().enumerate().collect();
            shuffled.values().for_each(|outcome| outputs.outcome(outcome));
        } else {
            folded.outcomes.iter().for_each(|outcome| outputs.outcome(outcome));
        }
        folded.answers.iter().for_each(|answer| outputs.answer(answer));
        outputs
    }

    /// Adds a dead letter.
    pub fn dead_letter(&mut self, letter: &DeadLetter) {
        self.push(DEAD_LETTERS, None, letter);
    }

    /// The appends of a commit: those topics that have any.
    pub fn appends(self) -> impl Iterator<Item = (Input, Records)> {
        let named = TOPICS.into_iter().zip(self.records).filter(|(_, records)| !records.is_empty());
        named.map(|(topic, records)| (Input { topic: topic.to_owned(), partition: 0 }, records))
    }

    fn outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Alert(alert) => self.push(ALERTS, Some(&alert.event.id), alert),
            Outcome::Block(block) => self.push(BLOCKS, Some(&block.target), block),
            Outcome::Lift(lift) => self.push_last(BLOCKS, &lift.target, lift),
            Outcome::Incident(incident) => self.push(INCIDENTS, Some(&incident.id), incident),
            Outcome::DeadLetter(letter) => self.push(DEAD_LETTERS, None, letter),
        }
    }

    fn answer(&mut self, answer: &Answer) {
        self.push(ANSWERS, None, answer);
    }

    fn push(&mut self, topic: &str, key: Option<&str>, value: &impl serde::Serialize) {
        self.put(topic, key, value, Records::push);
    }

    /// The target is not blocked any more: who keeps one value of each target need not keep any.
    fn push_last(&mut self, topic: &str, key: &str, value: &impl serde::Serialize) {
        self.put(topic, Some(key), value, Records::push_last);
    }

    fn put(
        &mut self,
        topic: &str,
        key: Option<&str>,
        value: &impl serde::Serialize,
        push: fn(&mut Records, NewRecord<'_>),
    ) {
        let Some(place) = TOPICS.iter().position(|known| *known == topic) else { return };
        self.line.clear();
        // Outcomes hold nothing that JSON cannot say.
        if write_json(value, &mut self.line).is_ok() {
            let record = NewRecord { key: key.map(str::as_bytes), value: &self.line, spoofable: false };
            push(&mut self.records[place], record);
        }
    }
}
