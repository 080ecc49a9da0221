//! The last gate before a block, and the only way to one (design §8.4). Pure.
//!
//! Each gate is asked in order and the first refusal is the answer. The guard deliberately does not spend: the budget,
//! its last gate, is asked by the responder with what the guard has let through, since it changes by being used.

use ipnet::IpNet;

use crate::event::outcome::{Gate, GateVerdict, Level, Refusal};
use crate::event::{Finding, Standing, Time};

use super::outage::Outages;
use super::prefix::{Prefix, Prefixes};
use super::settings::{RuleSettings, Settings};
use super::target::Target;

/// No IPv4 network wider than this is blocked: a /24 is the smallest that is routed on its own, so the most that one
/// network's owner stands for.
const IPV4_BITS_MIN: u8 = 24;
/// No IPv6 network wider than this is blocked: a /48 is one site (RFC 6177 §2).
const IPV6_BITS_MIN: u8 = 48;

/// What the gates look at.
pub(super) struct Guard<'a> {
    pub(super) settings: &'a Settings,
    pub(super) protected: &'a Prefixes<()>,
    pub(super) allowed: &'a Prefixes<()>,
    /// Until when rules leave a network alone.
    pub(super) holds: &'a Prefixes<Time>,
    pub(super) outages: &'a Outages,
    pub(super) journal: Time,
}

/// A block that a rule asks for.
pub(super) struct Question<'a> {
    pub(super) target: &'a Target,
    pub(super) rule: &'a RuleSettings,
    pub(super) finding: &'a Finding,
    /// The rule's level under the ceiling.
    pub(super) level: Level,
    /// Milliseconds.
    pub(super) ttl: i64,
}

impl Guard<'_> {
    /// What each gate before the budget says; refused by the first that does not pass.
    pub(super) fn judge(&self, question: &Question<'_>) -> Result<Vec<GateVerdict>, Refusal> {
        let prefix = question.target.prefix;
        let gates = [
            (Gate::Expiry, self.expiry(question.ttl)),
            (Gate::Attributed, attributed(question.target.standing)),
            (Gate::Width, width(prefix)),
            (Gate::Protected, self.protected(prefix)),
            (Gate::Stale, self.stale(question.finding)),
            (Gate::Outage, self.outage(question.rule, question.finding)),
            (Gate::Level, self.level(question.level)),
        ];
        let mut verdicts = Vec::with_capacity(gates.len() + 1);
        for (gate, verdict) in gates {
            verdict?;
            verdicts.push(GateVerdict { gate, passed: true, used: None, limit: None });
        }
        self.hold(prefix)?;
        Ok(verdicts)
    }

    /// Whether a block that an operator or an import asks for may be: those pass expiry, width and protected only.
    pub(super) fn judge_ordered(&self, target: Prefix, ttl: i64) -> Result<(), Refusal> {
        self.expiry(ttl)?;
        width(target)?;
        self.protected(target)
    }

    fn expiry(&self, ttl: i64) -> Result<(), Refusal> {
        pass(ttl > 0 && self.journal.plus(ttl) > self.journal, Refusal::Expiry)
    }

    fn protected(&self, prefix: Prefix) -> Result<(), Refusal> {
        pass(!self.protected.overlap(prefix) && !self.allowed.overlap(prefix), Refusal::Protected)
    }

    fn stale(&self, finding: &Finding) -> Result<(), Refusal> {
        pass(self.journal.since(finding.time) <= self.settings.stale, Refusal::Stale)
    }

    fn outage(&self, rule: &RuleSettings, finding: &Finding) -> Result<(), Refusal> {
        let explained = rule.about_failures && self.outages.explains(finding.service.as_deref(), finding.time);
        pass(!explained, Refusal::Outage)
    }

    fn level(&self, level: Level) -> Result<(), Refusal> {
        pass(level >= Level::Throttle, Refusal::Level)?;
        pass(!self.settings.shadow, Refusal::Shadow)
    }

    fn hold(&self, prefix: Prefix) -> Result<(), Refusal> {
        let held = self.holds.overlapping(prefix).any(|(_, until)| *until > self.journal);
        pass(!held, Refusal::Operator)
    }
}

fn attributed(standing: Standing) -> Result<(), Refusal> {
    match standing {
        Standing::Attributed => Ok(()),
        Standing::Unattributed => Err(Refusal::Unattributed),
        Standing::Private => Err(Refusal::Private),
    }
}

/// Whether a network is narrow enough to be blocked.
pub(super) fn width(prefix: Prefix) -> Result<(), Refusal> {
    let narrow = match prefix.to_network() {
        IpNet::V4(network) => network.prefix_len() >= IPV4_BITS_MIN,
        IpNet::V6(network) => network.prefix_len() >= IPV6_BITS_MIN,
    };
    pass(narrow, Refusal::TooWide)
}

fn pass(passes: bool, refusal: Refusal) -> Result<(), Refusal> {
    if passes { Ok(()) } else { Err(refusal) }
}
