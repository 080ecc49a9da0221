//! What a replay counted: `summary.json`, and the same for a reader at the terminal. Pure.
//!
//! Nothing here differs from run to run. Deliberately without times and rates: those are [`super::Timings`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::event::outcome::{Refusal, ResponseResult};
use crate::event::{Outcome, Time};

/// `summary.json` (outputs sheet).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    pub catalog: String,
    pub pipelines: BTreeMap<String, PipelineSummary>,
    pub alerts: u64,
    pub blocks: u64,
    pub extended: u64,
    pub lifts: u64,
    pub dead_letters: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<Refusal, u64>,
    /// Keys of windows that were given up because a limit was reached.
    pub evicted: u64,
    /// The first and the last key of all records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Time>,
}

/// What one pipeline's inputs held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PipelineSummary {
    pub records: u64,
    pub events: u64,
    /// Decompressed, with line ends.
    pub bytes: u64,
    /// Events with at least one flaw.
    pub flawed: u64,
    /// Events of which only the raw line is known.
    pub undecodable: u64,
    /// Events too old for any window.
    pub late: u64,
}

/// Counts outcomes as they leave.
#[derive(Clone, Debug, Default)]
pub struct OutcomeCounts {
    pub summary: Summary,
    /// Blocks in force, by id: a further record of one of them is an extension.
    active: BTreeSet<String>,
}

impl OutcomeCounts {
    /// Counts one outcome.
    pub fn count(&mut self, outcome: &Outcome) {
        let summary = &mut self.summary;
        match outcome {
            Outcome::Alert(alert) => {
                summary.alerts += 1;
                let response = &alert.sekisho.response;
                let refusal = response.reason.filter(|_| response.result == ResponseResult::Refused);
                refusal.into_iter().for_each(|gate| *summary.refused.entry(gate).or_default() += 1);
            }
            Outcome::Block(block) if self.active.insert(block.id.clone()) => summary.blocks += 1,
            Outcome::Block(_) => summary.extended += 1,
            Outcome::Lift(lift) => {
                summary.lifts += 1;
                self.active.remove(&lift.block);
            }
            Outcome::Incident(_) => {}
            Outcome::DeadLetter(_) => summary.dead_letters += 1,
        }
    }
}

impl Summary {
    /// All records of all pipelines.
    pub fn records(&self) -> u64 {
        self.pipelines.values().map(|pipeline| pipeline.records).sum()
    }

    /// All events of all pipelines.
    pub fn events(&self) -> u64 {
        self.pipelines.values().map(|pipeline| pipeline.events).sum()
    }
}

/// The table that ends a replay at the terminal. A journal was decoded before: of it there is no table.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pipelines.is_empty() {
            self.write_pipelines(f)?;
        }
        if let (Some(first), Some(last)) = (self.first_at, self.last_at) {
            writeln!(f, "from {first} to {last}")?;
        }
        let Summary { alerts, blocks, extended, lifts, dead_letters, .. } = self;
        write!(
            f,
            "{alerts} alerts, {blocks} blocks ({extended} extended), {lifts} lifts, {dead_letters} dead letters"
        )?;
        if self.refused.is_empty() {
            return Ok(());
        }
        write!(f, "\nnot blocked:")?;
        // In outputs a gate is a word in quotation marks.
        let word = |gate| serde_json::to_string(gate).unwrap_or_default().replace('"', "");
        self.refused.iter().try_for_each(|(gate, count)| write!(f, " {count} {}", word(gate)))
    }
}

impl Summary {
    fn write_pipelines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.pipelines.keys().map(|name| name.chars().count()).max().unwrap_or(0).max("pipeline".len());
        writeln!(f, "{:width$}  {:>12}  {:>10}  {:>11}  {:>8}", "pipeline", "events", "flawed", "undecodable", "late")?;
        for (name, counts) in &self.pipelines {
            let PipelineSummary { events, flawed, undecodable, late, .. } = counts;
            writeln!(f, "{name:width$}  {events:>12}  {flawed:>10}  {undecodable:>11}  {late:>8}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::outcome::{Block, Level, Lift, LiftCause, Origin};

    fn block(id: &str) -> Outcome {
        Outcome::Block(Box::new(Block {
            id: id.into(),
            action: "block".into(),
            target: "203.0.113.9/32".into(),
            level: Level::Block,
            issued_at: Time(0),
            expires_at: Time(1),
            reason: "r".into(),
            rule: None,
            alert: None,
            incident: None,
            origin: Origin::Rule,
            by: None,
            receipt: None,
        }))
    }

    #[test]
    fn a_second_record_of_a_block_in_force_is_an_extension() {
        let lift = Outcome::Lift(Lift {
            id: "l".into(),
            action: "lift".into(),
            target: "203.0.113.9/32".into(),
            block: "a".into(),
            lifted_at: Time(2),
            cause: LiftCause::Expired,
            by: None,
        });
        let mut counts = OutcomeCounts::default();
        [block("a"), block("b"), block("a"), lift].iter().for_each(|outcome| counts.count(outcome));
        assert_eq!((counts.summary.blocks, counts.summary.extended, counts.summary.lifts), (2, 1, 1));
    }

    #[test]
    fn what_does_not_apply_is_absent() {
        let text = serde_json::to_string(&Summary { catalog: "c".into(), ..Summary::default() }).unwrap();
        let expected = r#"{"catalog":"c","pipelines":{},"alerts":0,"blocks":0,"extended":0,"lifts":0,"dead_letters":0,"evicted":0}"#;
        assert_eq!(text, expected);
        assert_eq!(Summary::default().to_string(), "0 alerts, 0 blocks (0 extended), 0 lifts, 0 dead letters");
        let read = [("nginx".to_owned(), PipelineSummary::default())].into();
        let table = Summary { pipelines: read, ..Summary::default() }.to_string();
        assert!(table.starts_with("pipeline  ") && table.lines().nth(1).unwrap().starts_with("nginx"), "{table}");
    }
}
