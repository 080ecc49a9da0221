//! What becomes of a finding's targets: refused, blocked, extended. Pure.
//!
//! Every target goes through the guard by itself and the best of the answers is the alert's. A block is kept and its
//! record leaves in one place, so that neither can be without the other. Deliberately without any gate of its own.

use crate::event::outcome::{
    Block, Gate, GateVerdict, Level, LiftCause, Origin, Receipt, Refusal, Response, ResponseResult,
};
use crate::event::{Finding, Outcome, SECOND, Time};

use super::blocks::{Active, BLOCKS_MAX, Failures, escalated};
use super::budget::Request;
use super::clients::table_key;
use super::guard::Question;
use super::ids::{self, Id};
use super::prefix::Prefix;
use super::responder::Responder;
use super::settings::{RuleSettings, Settings};
use super::target::{Target, targets};

/// A block is extended only where that adds at least this part of its duration (design §8.3).
const EXTENSION_PART: i64 = 10;

/// A finding with what is known about it by the time targets are judged.
pub(super) struct Charge<'a> {
    pub(super) settings: &'a Settings,
    pub(super) rule: &'a RuleSettings,
    pub(super) finding: &'a Finding,
    pub(super) alert: Id,
    pub(super) incident: &'a str,
    /// The rule's level under the ceiling.
    pub(super) level: Level,
}

/// What became of one target; [`Answer::best`] picks the alert's.
#[derive(Clone, Copy)]
enum Answer {
    /// Nobody was to be blocked.
    Observed,
    Refused(Refusal),
    Extended(Id),
    /// Blocked by this finding, or before it for about as long.
    Blocked(Id),
}

impl Responder {
    /// The response to a finding; the records of blocks that begin, change or give way are appended.
    pub(super) fn answer(&mut self, charge: &Charge<'_>, out: &mut Vec<Outcome>) -> Response {
        if charge.rule.level < Level::Throttle {
            return Answer::Observed.response(charge.level);
        }
        let answer = match targets(charge.finding) {
            Err(refusal) => self.refuse(refusal),
            Ok(targets) => {
                targets.iter().fold(Answer::Observed, |best, target| best.best(self.judge(charge, target, out)))
            }
        };
        answer.response(charge.level)
    }

    /// One target through the guard and the budget.
    fn judge(&mut self, charge: &Charge<'_>, target: &Target, out: &mut Vec<Outcome>) -> Answer {
        let now = self.state.journal;
        let before = self.state.blocks.get(target.prefix).cloned();
        let offence = match before.as_ref().filter(|before| before.origin == Origin::Rule) {
            Some(before) => before.offence,
            None => self.state.offences.count(target.prefix, now).saturating_add(1),
        };
        let ttl = escalated(charge.rule.ttl, offence);
        let &Charge { rule, finding, level, .. } = charge;
        let gates = match self.guard(charge.settings).judge(&Question { target, rule, finding, level, ttl }) {
            Ok(gates) => gates,
            Err(refusal) => return self.refuse(refusal),
        };
        let wanted = Wanted { target: target.prefix, level, expires_at: now.plus(ttl), ttl, offence, gates };
        match before {
            Some(before) if !wanted.adds_to(&before) => {
                self.state.counters.already_blocked += 1;
                Answer::Blocked(before.id)
            }
            Some(before) if before.origin == Origin::Rule => self.extend(charge, before, wanted, out),
            before => self.open(charge, (target, before), wanted, out),
        }
    }

    fn extend(&mut self, charge: &Charge<'_>, before: Active, mut wanted: Wanted, out: &mut Vec<Outcome>) -> Answer {
        let (used, limit) = self.state.budget.minute(&charge.settings.budget);
        wanted.level = wanted.level.max(before.level.min(charge.settings.level));
        wanted.gates.push(budget_gate(used, limit));
        let failures = before.failures.clone().filter(|_| charge.rule.about_failures);
        self.state.counters.extensions += 1;
        self.publish(charge, before.id, (wanted, failures), out);
        Answer::Extended(before.id)
    }

    /// Opens a block, in place of an operator's that would end earlier.
    fn open(
        &mut self,
        charge: &Charge<'_>,
        (target, before): (&Target, Option<Active>),
        mut wanted: Wanted,
        out: &mut Vec<Outcome>,
    ) -> Answer {
        let offence_began = charge.finding.window.start.second();
        let known = target.clients.iter().any(|key| self.state.clients.known(table_key(*key), offence_began));
        let request = Request {
            journal: self.state.journal,
            active: self.state.blocks.of_rules(),
            known,
            known_total: self.state.clients.known_total(),
        };
        if self.state.blocks.len() >= BLOCKS_MAX {
            return self.refuse(Refusal::Budget);
        }
        if let Err(refusal) = self.state.budget.request(&charge.settings.budget, request) {
            return self.refuse(refusal);
        }
        self.state.budget.spend(request);
        let (used, limit) = self.state.budget.minute(&charge.settings.budget);
        wanted.gates.push(budget_gate(used, limit));
        if before.is_some() {
            self.end(wanted.target, (LiftCause::Superseded, self.state.journal), None, out);
        }
        let id = ids::block(wanted.target, charge.alert);
        let failures = charge
            .rule
            .about_failures
            .then(|| Failures { service: charge.finding.service.clone(), time: charge.finding.time });
        self.state.counters.blocks += 1;
        self.publish(charge, id, (wanted, failures), out);
        Answer::Blocked(id)
    }

    /// Keeps a block and lets its record leave, with the receipt of the finding that asked for it.
    fn publish(
        &mut self,
        charge: &Charge<'_>,
        id: Id,
        (wanted, failures): (Wanted, Option<Failures>),
        out: &mut Vec<Outcome>,
    ) {
        let Wanted { target, level, expires_at, offence, .. } = wanted;
        let issued_at = self.state.journal;
        let active = Active { id, level, origin: Origin::Rule, issued_at, expires_at, offence, failures };
        self.state.blocks.set(target, active);
        out.push(Outcome::Block(Box::new(Block {
            id: id.to_string(),
            action: "block".to_owned(),
            target: target.to_string(),
            level,
            issued_at: self.state.journal,
            expires_at,
            reason: charge.rule.name.name.clone(),
            rule: Some(charge.rule.name.clone()),
            alert: Some(charge.alert.to_string()),
            incident: Some(charge.incident.to_owned()),
            origin: Origin::Rule,
            by: None,
            receipt: Some(charge.receipt(wanted)),
        })));
    }

    fn refuse(&mut self, refusal: Refusal) -> Answer {
        self.state.counters.refuse(refusal);
        Answer::Refused(refusal)
    }
}

/// A block that the guard allows.
struct Wanted {
    target: Prefix,
    level: Level,
    expires_at: Time,
    /// Milliseconds.
    ttl: i64,
    offence: u32,
    gates: Vec<GateVerdict>,
}

impl Wanted {
    /// Whether this adds enough to a block that holds: a tenth of its duration, or a stronger level for any longer. What
    /// an operator ordered is never weakened.
    fn adds_to(&self, before: &Active) -> bool {
        let longer = self.expires_at.since(before.expires_at);
        let enough = longer > 0 && longer >= self.ttl / EXTENSION_PART;
        match before.origin {
            Origin::Rule => enough || longer > 0 && self.level > before.level,
            Origin::Operator | Origin::Import => enough && self.level >= before.level,
        }
    }
}

impl Charge<'_> {
    fn receipt(&self, wanted: Wanted) -> Receipt {
        Receipt {
            catalog: self.settings.catalog.to_string(),
            window: self.finding.window,
            count: self.finding.count,
            threshold: self.rule.threshold,
            evidence: self.finding.evidence.clone(),
            spans: self.finding.spans.clone(),
            guard: wanted.gates,
            offence: wanted.offence,
            ttl_s: wanted.ttl / SECOND,
        }
    }
}

impl Answer {
    /// The better of two: blocked, then extended, then refused by the earlier gate, then observed.
    fn best(self, other: Answer) -> Answer {
        match (self, other) {
            (Answer::Refused(a), Answer::Refused(b)) => Answer::Refused(a.min(b)),
            (a, b) if b.rank() > a.rank() => b,
            (a, _) => a,
        }
    }

    fn rank(self) -> u8 {
        match self {
            Answer::Observed => 0,
            Answer::Refused(_) => 1,
            Answer::Extended(_) => 2,
            Answer::Blocked(_) => 3,
        }
    }

    fn response(self, level: Level) -> Response {
        let (result, reason, block) = match self {
            Answer::Observed => (ResponseResult::Observed, None, None),
            Answer::Refused(refusal) => (ResponseResult::Refused, Some(refusal), None),
            Answer::Extended(id) => (ResponseResult::Extended, None, Some(id)),
            Answer::Blocked(id) => (ResponseResult::Blocked, None, Some(id)),
        };
        Response { level, result, reason, block: block.map(|id| id.to_string()) }
    }
}

fn budget_gate(used: u64, limit: u64) -> GateVerdict {
    GateVerdict { gate: Gate::Budget, passed: true, used: Some(used), limit: Some(limit) }
}
