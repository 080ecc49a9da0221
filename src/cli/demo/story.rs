//! What a demo tells of its day: each outcome in a line, and at the end who was blocked, who was not, and why. I/O.
//!
//! Deliberately without judgement: all it knows came out of the node's stream.

use crate::demo::{Actor, ActorKind, Generator};
use crate::event::outcome::{Alert, Block, ResponseResult};
use crate::event::{Outcome, Span, Time};

use super::super::CliError;
use super::super::output::Output;

/// What was heard so far.
#[derive(Default)]
pub(super) struct Story {
    blocks: Vec<Block>,
    refused: Vec<Alert>,
    counts: Counts,
    heard: u64,
}

/// What was heard, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    alerts: u64,
    blocks: u64,
    extended: u64,
    lifts: u64,
}

impl Story {
    /// How many outcomes were heard.
    pub fn heard(&self) -> u64 {
        self.heard
    }

    /// Keeps count of an outcome, and says it in a line where it is worth one.
    pub fn note(&mut self, outcome: Outcome) -> Option<String> {
        self.heard += 1;
        match outcome {
            Outcome::Alert(alert) => {
                self.counts.alerts += 1;
                let text = format!(
                    "{}  alert    {:8} {}",
                    clock(alert.timestamp),
                    alert.sekisho.severity.word(),
                    alert.message
                );
                let refused = alert.sekisho.response.result == ResponseResult::Refused;
                if refused {
                    self.refused.push(*alert);
                }
                Some(text)
            }
            Outcome::Block(block) => {
                let known = self.blocks.iter().any(|other| other.id == block.id);
                *if known { &mut self.counts.extended } else { &mut self.counts.blocks } += 1;
                let word = if known { "extended" } else { "BLOCK   " };
                let text =
                    format!("{}  {word} {} until {}", clock(block.issued_at), block.target, clock(block.expires_at));
                self.blocks.push(*block);
                Some(text)
            }
            Outcome::Lift(lift) => {
                self.counts.lifts += 1;
                let cause = serde_json::to_value(lift.cause).ok()?;
                Some(format!("{}  lift     {} ({})", clock(lift.lifted_at), lift.target, cause.as_str()?))
            }
            Outcome::Incident(_) | Outcome::DeadLetter(_) => None,
        }
    }

    /// Tells how the day ended: counts, and a table each of who was blocked and who was not.
    ///
    /// # Errors
    /// Where nothing can be written any more.
    pub fn end(&self, (lines, seconds): (u64, f64), told: &mut Output) -> Result<(), CliError> {
        let Counts { alerts, blocks, extended, lifts } = self.counts;
        told.line("")?;
        told.line(&format!(
            "{lines} lines in {seconds:.1} s ({:.0} lines/s): {alerts} alerts, {blocks} blocks, {extended} extended, {lifts} lifted",
            lines as f64 / seconds
        ))?;
        self.tell_blocked(told)?;
        self.tell_spared(told)
    }

    fn tell_blocked(&self, told: &mut Output) -> Result<(), CliError> {
        told.line("")?;
        told.line("Blocked, and why:")?;
        let actors = Generator::actors();
        let first =
            self.blocks.iter().enumerate().filter(|(n, b)| self.blocks[..*n].iter().all(|o| o.target != b.target));
        let rows: Vec<[String; 5]> = first.map(|(_, block)| receipt_row(block, &actors)).collect();
        told.table(["target", "who", "reason", "count", "evidence"], &rows)
    }

    fn tell_spared(&self, told: &mut Output) -> Result<(), CliError> {
        told.line("")?;
        told.line("Not blocked, and why:")?;
        let mut rows: Vec<[String; 3]> = Vec::new();
        for alert in &self.refused {
            let gate = alert.sekisho.response.reason.and_then(|reason| serde_json::to_value(reason).ok());
            let gate = gate.as_ref().and_then(|gate| gate.as_str()).unwrap_or_default().to_owned();
            rows.push([alert.sekisho.entity.to_string(), alert.rule.name.clone(), format!("refused: {gate}")]);
        }
        for actor in Generator::actors().iter().filter(|actor| !actor.expect_block) {
            if !self.blocks.iter().any(|block| is_of(actor, block)) {
                let why = match actor.kind {
                    ActorKind::Attack => "its rules alert only",
                    ActorKind::Benign | ActorKind::Anomaly => "no rule asked for it",
                };
                rows.push([actor.name.to_owned(), actor.what.to_owned(), why.to_owned()]);
            }
        }
        told.table(["who", "what", "why not"], &rows)
    }
}

fn receipt_row(block: &Block, actors: &[Actor]) -> [String; 5] {
    let who = actors.iter().find(|actor| is_of(actor, block)).map_or("", |actor| actor.name);
    let receipt = block.receipt.as_ref();
    let count = receipt.map(|receipt| format!("{} of {}", receipt.count, receipt.threshold)).unwrap_or_default();
    let span = |span: &Span| format!("{}[{}..{}]", span.topic, span.from, span.to);
    let spans = receipt.map(|receipt| receipt.spans.iter().map(span).collect::<Vec<_>>().join(" ")).unwrap_or_default();
    [block.target.clone(), who.to_owned(), block.reason.clone(), count, spans]
}

fn is_of(actor: &Actor, block: &Block) -> bool {
    let target = block.target.parse::<ipnet::IpNet>();
    target.is_ok_and(|target| actor.addresses.iter().any(|own| own.contains(&target) || target.contains(own)))
}

fn clock(time: Time) -> String {
    time.to_string()[11..19].to_owned()
}
