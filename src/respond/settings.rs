//! What the catalog says about responses. Pure data.

use ipnet::IpNet;

use crate::event::outcome::{Level, RuleName};
use crate::event::{CatalogHash, Severity};

/// Everything that the response to a finding depends on, besides the fold's state.
#[derive(Clone, Debug)]
pub struct Settings {
    pub catalog: CatalogHash,
    /// By [`crate::event::RuleIndex`].
    pub rules: Vec<RuleSettings>,
    /// Our own networks and others that are never blocked: `networks.own` and `networks.protected`.
    pub protected: Vec<IpNet>,
    /// Special-purpose ranges that count as internet addresses here.
    pub ordinary: Vec<IpNet>,
    /// The ceiling for all rules.
    pub level: Level,
    /// Decide and record everything, publish no block.
    pub shadow: bool,
    pub budget: Budget,
    /// How long rules leave a target alone after an operator's lift, in milliseconds.
    pub hold: i64,
    /// A trigger this far behind the journal's time does not block, in milliseconds.
    pub stale: i64,
}

/// How many blocks there may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// New blocks per minute.
    pub per_minute: u64,
    /// Blocks at a time.
    pub active: u64,
    /// Of known clients, the part that may be blocked per hour (or [`Budget::SHARE_FLOOR`], if that is more).
    pub share: f64,
}

impl Budget {
    /// The share never falls below this many blocks an hour: 1 % of a small site's clients would be none.
    pub const SHARE_FLOOR: u64 = 20;
}

/// What responding needs to know of one rule.
#[derive(Clone, Debug)]
pub struct RuleSettings {
    pub name: RuleName,
    pub severity: Severity,
    /// MITRE ATT&CK technique ids.
    pub techniques: Vec<String>,
    /// `event.category` of its alerts.
    pub category: Vec<String>,
    pub level: Level,
    /// Milliseconds.
    pub ttl: i64,
    /// The count at which the rule fires.
    pub threshold: u64,
    /// Milliseconds.
    pub timespan: i64,
    /// Whether an outage causes findings like this too (design §8.6).
    pub about_failures: bool,
    /// What the rule counts, in words for the message: "failed logins", "distinct paths not found".
    pub counted: String,
}
