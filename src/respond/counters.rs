//! What responding counts: for the summary, the metrics and the reader who asks why not. Pure data.
//!
//! Deliberately totals since the state began, so that they survive a snapshot and can only grow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::outcome::{LiftCause, Refusal};

/// Totals since the state began, and how full it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub alerts: u64,
    /// Blocks that began, whoever asked.
    pub blocks: u64,
    pub extensions: u64,
    /// Findings on a target whose block already lasts about as long.
    pub already_blocked: u64,
    /// By gate, one per target: a finding about many clients can be refused for some and block others.
    pub refused: BTreeMap<Refusal, u64>,
    pub lifts: Lifts,
    /// Findings of rules that the catalog does not have; they become nothing.
    pub unknown_rules: u64,
    pub outages: u64,
    pub evicted: Evicted,
    /// Tallies of services beyond those that have an outage gauge.
    pub services_without_gauge: u64,
    /// Blocks that hold now.
    pub active_blocks: u64,
    /// Clients known and new that are remembered now.
    pub clients: u64,
    /// Whether known clients are not blocked at present (design §8.5).
    pub frozen: bool,
}

/// Ends of blocks by their cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifts {
    pub expired: u64,
    pub operator: u64,
    pub allowlist: u64,
    pub outage: u64,
    pub superseded: u64,
}

/// What gave way at a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evicted {
    pub clients: u64,
    /// Clients that an outage gauge had known.
    pub witnesses: u64,
    pub incidents: u64,
    pub offences: u64,
    /// Operators' holds that had not run out.
    pub holds: u64,
}

impl Counters {
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        *self.refused.entry(refusal).or_default() += 1;
    }
}

impl Lifts {
    pub(super) fn count(&mut self, cause: LiftCause) {
        *match cause {
            LiftCause::Expired => &mut self.expired,
            LiftCause::Operator => &mut self.operator,
            LiftCause::Allowlist => &mut self.allowlist,
            LiftCause::Outage => &mut self.outage,
            LiftCause::Superseded => &mut self.superseded,
        } += 1;
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.expired + self.operator + self.allowlist + self.outage + self.superseded
    }
}

impl Evicted {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.clients + self.witnesses + self.incidents + self.offences + self.holds
    }
}
