//! What a rule concludes: the border between detection and response. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::position::{Position, Span};
use super::signal::{Client, RuleIndex, Value};
use super::time::Time;

/// A rule's conclusion about one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub rule: RuleIndex,
    pub entity: Entity,
    /// The group-by values in the rule's order: part of the alert's id.
    pub group: Box<[Value]>,
    /// The stretch of windowed time whose content made the rule fire.
    pub window: Window,
    /// What the rule counted when it fired: events, distinct values, or an average rounded down.
    pub count: u64,
    /// First, last and up to eight positions in all.
    pub evidence: Vec<Position>,
    /// How many events the window held.
    pub evidence_total: u64,
    /// Per input, the run of offsets that holds every event the window counted since it was last empty.
    pub spans: Vec<Span>,
    /// The one client the entity is, where it is one.
    pub client: Option<Client>,
    /// The service of the trigger, where the rule groups by it or the entity is one.
    pub service: Option<Box<str>>,
    /// The account, where the rule groups by it.
    pub user: Option<Box<str>>,
    /// Accounts seen in the window, where the rule counts them; at most [`Finding::USERS_MAX`].
    pub users: Vec<Box<str>>,
    /// Clients that gave events to a finding whose entity is not one client, the most active first;
    /// at most [`Finding::MEMBERS_MAX`].
    pub members: Vec<Member>,
    /// How many clients there were.
    pub members_total: u64,
    /// The trigger's windowed time.
    pub time: Time,
    /// The trigger record's journal time.
    pub appended_at: Time,
    /// Which firing of this key in its cell of the timespan grid this is, from 0.
    pub firing: u32,
}

impl Finding {
    /// An alert lists at most this many member clients (outputs sheet).
    pub const MEMBERS_MAX: usize = 100;
    /// An alert lists at most this many accounts: enough to see a pattern, short enough to read.
    pub const USERS_MAX: usize = 20;
}

/// A client's part in a finding about something larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub client: Client,
    pub count: u32,
}

/// What a rule groups by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    pub kind: EntityKind,
    pub value: String,
}

/// The kinds of entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    Client,
    Network,
    User,
    Service,
    Asn,
    Country,
    Host,
    /// The whole installation: a rule without group-by.
    Global,
}

/// A stretch of windowed time, `start` inclusive, `end` exclusive of nothing: the trigger's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub start: Time,
    pub end: Time,
}

/// How bad a finding is. クリティカル / 重度 / 中度 / 軽度.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Minor,
    Moderate,
    Major,
    Critical,
}

impl Severity {
    /// `event.severity` of the alert (outputs sheet).
    pub fn number(self) -> i64 {
        match self {
            Severity::Minor => 21,
            Severity::Moderate => 47,
            Severity::Major => 73,
            Severity::Critical => 99,
        }
    }

    /// The word in settings and outputs.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Minor => "minor",
            Severity::Moderate => "moderate",
            Severity::Major => "major",
            Severity::Critical => "critical",
        }
    }
}

impl EntityKind {
    /// The word in settings and outputs.
    pub fn word(self) -> &'static str {
        match self {
            EntityKind::Client => "client",
            EntityKind::Network => "network",
            EntityKind::User => "user",
            EntityKind::Service => "service",
            EntityKind::Asn => "asn",
            EntityKind::Country => "country",
            EntityKind::Host => "host",
            EntityKind::Global => "global",
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.value)
    }
}
