//! The blocks that hold now, and how often a target was blocked before. Pure.
//!
//! One block per target at a time. Deliberately without a say in whether to block: that is the guard's alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::event::outcome::{Level, Origin};
use crate::event::{DAY, Time};

use super::ids::Id;
use super::prefix::{Prefix, Prefixes};

/// Blocks at a time, whoever asked for them: what a snapshot and an enforcer's set can hold (a community list has tens
/// of thousands). Beyond it rules are refused by budget, and operators are told.
pub(super) const BLOCKS_MAX: usize = 500_000;
/// Past offenders kept: about 100 bytes each. Beyond it the one that would be forgotten first is, and is counted.
const OFFENDERS_MAX: usize = 200_000;
/// A repeat offence is blocked this many times longer than the one before (design §8.3).
const LONGER: i64 = 4;
/// ... up to this long, unless the rule itself asks for more (design §8.3).
const TTL_MAX: i64 = 7 * DAY;
/// One offence is forgotten after so long without a block: an address changes hands within months.
const FORGET_AFTER: i64 = 30 * DAY;

/// A block that holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Active {
    pub(super) id: Id,
    pub(super) level: Level,
    pub(super) origin: Origin,
    pub(super) issued_at: Time,
    pub(super) expires_at: Time,
    /// 1 for a first offence; 0 where no rule asked.
    pub(super) offence: u32,
    /// Set while nothing but failures speaks for the block, which an outage would explain.
    pub(super) failures: Option<Failures>,
}

/// The failures that a block was opened for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Failures {
    pub(super) service: Option<Box<str>>,
    /// The trigger's windowed time.
    pub(super) time: Time,
}

/// The blocks that hold, by target and by expiry.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Prefixes<Active>", into = "Prefixes<Active>")]
pub(super) struct Blocks {
    active: Prefixes<Active>,
    expiries: BTreeSet<(Time, Id, Prefix)>,
    of_rules: u64,
}

impl Blocks {
    pub(super) fn new() -> Blocks {
        Blocks::from(Prefixes::new())
    }

    pub(super) fn len(&self) -> usize {
        self.active.len()
    }

    /// How many of them rules asked for.
    pub(super) fn of_rules(&self) -> u64 {
        self.of_rules
    }

    /// All of them, by target.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Prefix, &Active)> {
        self.active.iter()
    }

    pub(super) fn get(&self, target: Prefix) -> Option<&Active> {
        self.active.get(target)
    }

    /// Puts a block in place of the one on the same target, if any: a new block or a changed one.
    pub(super) fn set(&mut self, target: Prefix, active: Active) {
        self.remove(target);
        self.expiries.insert((active.expires_at, active.id, target));
        self.of_rules += u64::from(active.origin == Origin::Rule);
        self.active.insert(target, active);
    }

    pub(super) fn remove(&mut self, target: Prefix) -> Option<Active> {
        let active = self.active.remove(target)?;
        self.expiries.remove(&(active.expires_at, active.id, target));
        self.of_rules -= u64::from(active.origin == Origin::Rule);
        Some(active)
    }

    /// The target whose block expires next, if it does by `journal`: by time, then by id.
    pub(super) fn expired(&self, journal: Time) -> Option<(Time, Prefix)> {
        let (expires_at, _, target) = self.expiries.first()?;
        (*expires_at <= journal).then_some((*expires_at, *target))
    }

    /// Blocked targets that have an address in common with `network`.
    pub(super) fn overlapping(&self, network: Prefix) -> Vec<Prefix> {
        self.active.overlapping(network).map(|(target, _)| target).collect()
    }

    /// Targets blocked for failures alone at `since` or later: those on `service`, and those on no service in
    /// particular.
    pub(super) fn for_failures(&self, service: &str, since: Time) -> Vec<Prefix> {
        let explained = |failures: &Failures| {
            failures.time >= since && failures.service.as_deref().is_none_or(|name| name == service)
        };
        let blocks = self.active.iter().filter(|(_, active)| active.failures.as_ref().is_some_and(explained));
        blocks.map(|(target, _)| target).collect()
    }
}

impl From<Prefixes<Active>> for Blocks {
    fn from(active: Prefixes<Active>) -> Blocks {
        let expiries = active.iter().map(|(target, active)| (active.expires_at, active.id, target)).collect();
        let of_rules = active.iter().filter(|(_, active)| active.origin == Origin::Rule).count() as u64;
        Blocks { active, expiries, of_rules }
    }
}

impl From<Blocks> for Prefixes<Active> {
    fn from(blocks: Blocks) -> Prefixes<Active> {
        blocks.active
    }
}

/// How often targets were blocked, up to their last block's end.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "OffencesForm", into = "OffencesForm")]
pub(super) struct Offences {
    targets: BTreeMap<Prefix, Offence>,
    /// By the time at which nothing of them is left.
    forgotten: BTreeSet<(Time, Prefix)>,
    evicted: u64,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Offence {
    count: u32,
    ended_at: Time,
}

#[derive(Serialize, Deserialize)]
struct OffencesForm {
    targets: Vec<(Prefix, Offence)>,
    evicted: u64,
}

impl Offences {
    pub(super) fn new() -> Offences {
        Offences { targets: BTreeMap::new(), forgotten: BTreeSet::new(), evicted: 0 }
    }

    /// How many offences of a target still count at `journal`.
    pub(super) fn count(&self, target: Prefix, journal: Time) -> u32 {
        let Some(offence) = self.targets.get(&target) else { return 0 };
        let forgotten = (journal.since(offence.ended_at) / FORGET_AFTER).clamp(0, i64::from(u32::MAX));
        offence.count.saturating_sub(forgotten as u32)
    }

    /// A target's block ended, and with it so many offences count.
    pub(super) fn set(&mut self, target: Prefix, count: u32, ended_at: Time) {
        self.remove(target);
        if count == 0 {
            return;
        }
        if self.targets.len() >= OFFENDERS_MAX
            && let Some((_, oldest)) = self.forgotten.pop_first()
        {
            self.targets.remove(&oldest);
            self.evicted += 1;
        }
        let offence = Offence { count, ended_at };
        self.forgotten.insert((offence.forgotten_at(), target));
        self.targets.insert(target, offence);
    }

    /// The journal's time has come to `journal`.
    pub(super) fn advance(&mut self, journal: Time) {
        while let Some((_, target)) = self.forgotten.first().copied().filter(|(at, _)| *at <= journal) {
            self.remove(target);
        }
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    fn remove(&mut self, target: Prefix) {
        if let Some(offence) = self.targets.remove(&target) {
            self.forgotten.remove(&(offence.forgotten_at(), target));
        }
    }
}

impl Offence {
    fn forgotten_at(self) -> Time {
        self.ended_at.plus(FORGET_AFTER.saturating_mul(i64::from(self.count)))
    }
}

impl From<OffencesForm> for Offences {
    fn from(form: OffencesForm) -> Offences {
        let targets: BTreeMap<_, _> = form.targets.into_iter().collect();
        let forgotten = targets.iter().map(|(target, offence)| (offence.forgotten_at(), *target)).collect();
        Offences { targets, forgotten, evicted: form.evicted }
    }
}

impl From<Offences> for OffencesForm {
    fn from(offences: Offences) -> OffencesForm {
        OffencesForm { targets: offences.targets.into_iter().collect(), evicted: offences.evicted }
    }
}

/// How long the `offence`-th block of a target lasts, where a first one lasts `ttl` (milliseconds).
pub(super) fn escalated(ttl: i64, offence: u32) -> i64 {
    let times = LONGER.saturating_pow(offence.saturating_sub(1));
    ttl.saturating_mul(times).min(TTL_MAX.max(ttl))
}

#[cfg(test)]
mod tests {
    use crate::event::HOUR;

    use super::*;

    #[test]
    fn repeat_offences_last_longer_up_to_a_week() {
        for (offence, hours) in [(1, 4), (2, 16), (3, 64), (4, 168), (5, 168), (u32::MAX, 168)] {
            assert_eq!(escalated(4 * HOUR, offence), hours * HOUR);
        }
        assert_eq!(escalated(30 * DAY, 2), 30 * DAY, "the rule's own wish stands");
    }

    #[test]
    fn an_offence_is_forgotten_a_month() {
        let target = Prefix::client("203.0.113.9".parse().expect("an address"));
        let mut offences = Offences::new();
        offences.set(target, 3, Time(0));
        for (days, count) in [(0, 3), (29, 3), (30, 2), (60, 1), (89, 1), (90, 0)] {
            offences.advance(Time(days * DAY));
            assert_eq!(offences.count(target, Time(days * DAY)), count, "day {days}");
        }
        assert!(offences.targets.is_empty() && offences.forgotten.is_empty());
    }

    #[test]
    fn offenders_beyond_the_limit_make_room() {
        let mut offences = Offences::new();
        let target = |number: u32| Prefix::client(std::net::IpAddr::V4((0x5000_0000 + number).into()));
        (0..OFFENDERS_MAX as u32 + 10).for_each(|number| offences.set(target(number), 1, Time(i64::from(number))));
        assert_eq!(
            (offences.targets.len(), offences.forgotten.len(), offences.evicted()),
            (OFFENDERS_MAX, OFFENDERS_MAX, 10)
        );
        assert_eq!((offences.count(target(9), Time(0)), offences.count(target(10), Time(0))), (0, 1));
    }
}
