//! A rule as it was written and checked: Sigma 2.1, with our additions under `sekisho:`. Pure data.

use crate::event::outcome::Level;
use crate::event::{EntityKind, Field, Severity};

use super::condition::Detection;

/// One rule of the catalog.
#[derive(Clone, Debug)]
pub struct Rule {
    /// UUID; a rule without one gets a name-derived one.
    pub id: String,
    /// What other rules call it; defaults to the id.
    pub name: String,
    pub title: String,
    pub description: String,
    pub status: String,
    pub tags: Vec<String>,
    pub false_positives: Vec<String>,
    /// Sigma's own level: informational, low, medium, high, critical.
    pub level: String,
    /// 12 hex digits of blake3 over the rule's document.
    pub version: String,
    pub logsource: LogSource,
    pub body: Body,
    pub sekisho: Extension,
    /// The file it came from, and the line its document starts on.
    pub path: String,
    pub line: usize,
}

/// What a rule is about.
#[derive(Clone, Debug)]
pub enum Body {
    /// A condition over one event.
    Detection(Detection),
    /// A condition over many events.
    Correlation(Correlation),
}

/// Which logs a rule reads; an absent part fits any.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogSource {
    pub category: Option<String>,
    pub product: Option<String>,
    pub service: Option<String>,
}

/// A correlation (Sigma correlations 2.1).
#[derive(Clone, Debug, PartialEq)]
pub struct Correlation {
    pub kind: CorrelationKind,
    /// Names or ids of the rules whose matches are counted.
    pub rules: Vec<String>,
    pub group_by: Vec<Field>,
    /// Milliseconds.
    pub timespan: i64,
    /// All of them must hold.
    pub condition: Vec<(Comparison, f64)>,
    /// What a value_* type takes its values from.
    pub field: Option<Field>,
    /// Whether the rules it counts also alert on their own.
    pub generate: bool,
}

/// The supported correlation types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorrelationKind {
    EventCount,
    ValueCount,
    /// Over tallies only: an average or a ratio per service (see [`Measure`]).
    ValueAverage,
}

/// How a count is compared with its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Greater,
    AtLeast,
    Less,
    AtMost,
    Equal,
    NotEqual,
}

/// What stands under `sekisho:`.
#[derive(Clone, Debug)]
pub struct Extension {
    pub severity: Severity,
    pub entity: EntityKind,
    pub response: ResponsePlan,
    /// Correlations over tallies say what they measure; all others travel as single signals.
    pub measure: Option<Measure>,
    /// A finding needs at least this many events in its window, whatever the condition says.
    pub events_min: u64,
    /// Correlations whose events must come after a finding of this rule about the same entity ("success after many
    /// failures"): the name of the rule that counts first.
    pub after: Option<String>,
    /// Whether findings are about failures of a service (logins, errors), which an outage also causes (design §8.6).
    pub about_failures: bool,
    /// What one match is, in words for messages and in the plural: "failed logins".
    pub counted: Option<String>,
    pub examples: Examples,
}

/// What a rule asks for once it fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponsePlan {
    pub level: Level,
    /// Milliseconds.
    pub ttl: i64,
    /// Why this level: shown to the reader of a receipt.
    pub because: String,
}

/// What a correlation over tallies takes from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Web requests (event_count).
    Requests,
    /// The share of answers with status 500 to 599, 0 to 1 (value_avg).
    ErrorShare,
    /// The mean duration in seconds (value_avg).
    DurationSeconds,
}

/// Examples that a rule carries.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    pub fires: Vec<Example>,
    pub quiet: Vec<Example>,
}

/// Lines that, fed to a pipeline, must or must not make the rule fire.
#[derive(Clone, Debug)]
pub struct Example {
    pub steps: Vec<Step>,
    /// The line in the rule file.
    pub line: usize,
}

/// One kind of line, repeated. In the line `{time}` is the time in the pipeline's own format (CLF), `{time:rfc3339}`,
/// `{time:syslog}`, `{time:epoch}` in others; `{n}` is the repetition from 0; `{n:4}` the same with leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub pipeline: String,
    pub line: String,
    pub repeat: u32,
    /// Milliseconds between repetitions.
    pub every: i64,
    /// Milliseconds before the first.
    pub wait: i64,
}

impl Rule {
    /// MITRE ATT&CK technique ids of the tags, as `T1110.001`.
    pub fn techniques(&self) -> Vec<String> {
        self.tags
            .iter()
            .filter_map(|tag| tag.strip_prefix("attack.t"))
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            .map(|rest| format!("T{}", rest.to_uppercase()))
            .collect()
    }
}

impl Comparison {
    /// Whether `value` compares so with `threshold`.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Comparison::Greater => value > threshold,
            Comparison::AtLeast => value >= threshold,
            Comparison::Less => value < threshold,
            Comparison::AtMost => value <= threshold,
            Comparison::Equal => value == threshold,
            Comparison::NotEqual => value != threshold,
        }
    }
}
