//! What leaves: alerts, blocks, lifts, incident changes and dead letters, in the shapes that others read. Pure.
//!
//! Field order, names and absences are those of the outputs sheet; a field that does not apply is absent, never
//! `null` or empty. Consumers rely on these shapes: change them only together with their JSON Schemas.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::finding::{Entity, Severity, Window};
use super::position::{Position, Span};
use super::time::Time;

/// One thing that left.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Alert(Box<Alert>),
    Block(Box<Block>),
    Lift(Lift),
    Incident(Incident),
    DeadLetter(DeadLetter),
}

/// An alert: an ECS document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    #[serde(rename = "@timestamp")]
    pub timestamp: Time,
    pub event: AlertEvent,
    pub rule: RuleName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threat: Option<Threat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Ip>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<Related>,
    pub message: String,
    pub sekisho: AlertDetail,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertEvent {
    /// Always `alert`.
    pub kind: String,
    /// 32 hex digits that follow from records alone (design §7).
    pub id: String,
    pub severity: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<String>,
}

/// The rule that concluded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleName {
    pub id: String,
    pub name: String,
    /// 12 hex digits of the rule's content.
    pub version: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threat {
    pub technique: Technique,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Technique {
    pub id: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ip {
    pub ip: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Name {
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Related {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertDetail {
    pub severity: Severity,
    pub entity: Entity,
    pub window: Window,
    pub count: u64,
    pub evidence: Vec<Position>,
    pub evidence_total: u64,
    pub spans: Vec<Span>,
    /// How many clients the alert is about, where it lists members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_total: Option<u64>,
    pub incident: String,
    pub response: Response,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    pub level: Level,
    pub result: ResponseResult,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Refusal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<String>,
}

/// How far a response may go; the order is the ceiling's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Observe,
    Alert,
    Throttle,
    Challenge,
    Block,
}

impl Level {
    /// The word in settings and outputs.
    pub fn word(self) -> &'static str {
        match self {
            Level::Observe => "observe",
            Level::Alert => "alert",
            Level::Throttle => "throttle",
            Level::Challenge => "challenge",
            Level::Block => "block",
        }
    }
}

/// What became of a finding's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseResult {
    Blocked,
    Extended,
    Refused,
    Observed,
}

/// The gate that refused a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    Expiry,
    Unattributed,
    Private,
    TooWide,
    Protected,
    Stale,
    Outage,
    Level,
    Shadow,
    Budget,
    Frozen,
    Operator,
}

/// What the gate found, for people.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Expiry => "a block needs an end in the future",
            Refusal::Unattributed => "the address is not known to be a client's own",
            Refusal::Private => "the address is a private or special-purpose one",
            Refusal::TooWide => "the network is too wide",
            Refusal::Protected => "the target has an address in common with a protected network",
            Refusal::Stale => "the trigger lies too far behind the journal's time",
            Refusal::Outage => "an outage explains it",
            Refusal::Level => "the response level does not allow it",
            Refusal::Shadow => "nothing is blocked in shadow mode",
            Refusal::Budget => "there is no room for another block",
            Refusal::Frozen => "blocking of known clients is frozen",
            Refusal::Operator => "an operator lifted a block of this target",
        })
    }
}

/// A block of one target until it expires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    pub id: String,
    /// Always `block`.
    pub action: String,
    /// Always a CIDR; IPv6 clients by their /64.
    pub target: String,
    pub level: Level,
    /// The largest `appended_at` folded when it was decided.
    pub issued_at: Time,
    pub expires_at: Time,
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    pub origin: Origin,
    /// The operator, where one asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// Who asked for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Rule,
    Operator,
    Import,
}

/// Why a block exists: enough to derive it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub catalog: String,
    pub window: Window,
    pub count: u64,
    pub threshold: u64,
    pub evidence: Vec<Position>,
    pub spans: Vec<Span>,
    pub guard: Vec<GateVerdict>,
    /// 1 for a first offence; each further one after a block ended adds one, older ones decay.
    pub offence: u32,
    pub ttl_s: i64,
}

/// What one gate of the guard said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateVerdict {
    pub gate: Gate,
    pub passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// The gates of the guard, in their order (design §8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    Expiry,
    Attributed,
    Width,
    Protected,
    Stale,
    Outage,
    Level,
    Budget,
}

/// The end of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lift {
    pub id: String,
    /// Always `lift`.
    pub action: String,
    pub target: String,
    /// The block's id.
    pub block: String,
    pub lifted_at: Time,
    pub cause: LiftCause,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Why a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiftCause {
    Expired,
    Operator,
    Allowlist,
    Outage,
    Superseded,
}

/// A change of an incident: the findings of one entity, until 24 h of quiet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub id: String,
    pub state: IncidentState,
    pub severity: Severity,
    pub entity: Entity,
    pub first_at: Time,
    pub last_at: Time,
    pub alerts: u64,
    pub blocks: u64,
    pub title: String,
}

/// Where an incident stands in the operations manual's flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    Detected,
    Triaged,
    Contained,
    CauseFound,
    Fixed,
    Verified,
    FalsePositive,
}

/// What could not become an event at all: over a limit, or poison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub topic: String,
    pub partition: u32,
    pub offset: u64,
    pub pipeline: String,
    pub appended_at: Time,
    pub reason: String,
    pub bytes: u64,
    pub head_base64: String,
}
