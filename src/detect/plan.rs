//! How each alerting rule is counted: the compiled form of correlations, and of plain rules that alert on their own. Pure.
//!
//! A plain rule that no correlation counts is a correlation with a threshold of one, so there is one kind of state and
//! one way to a finding.

use crate::event::{Address, EntityKind, Field, MINUTE, RuleIndex, SECOND, Text};

use super::rule::{Body, Comparison, Correlation, CorrelationKind, Measure, Rule};

/// A timespan is this many buckets long (design §7).
const GRAIN: i64 = 16;
/// A window is a ring of one bucket more: the newest is still under way, so that the others cover the whole timespan,
/// and all of them at most a sixteenth more.
pub const BUCKETS: usize = 17;
/// The timespan of a rule that has none: its repeats are silent for this long (design §7).
pub const TIMESPAN_DEFAULT: i64 = 10 * MINUTE;

/// How one rule is counted.
#[derive(Clone, Debug)]
pub struct Plan {
    pub rule: RuleIndex,
    pub kind: PlanKind,
    pub group_by: Vec<Field>,
    /// What a distinct count takes its values from.
    pub value: Option<Field>,
    /// Milliseconds.
    pub timespan: i64,
    pub condition: Vec<(Comparison, f64)>,
    pub events_min: u64,
    pub entity: EntityKind,
    /// Its events count only after a finding of this rule about the same key, within the timespan. That rule groups by
    /// the first fields of this one's group-by.
    pub after: Option<RuleIndex>,
}

/// What a plan counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanKind {
    Events,
    Distinct,
    /// Over tallies: requests, or an average.
    Measure(Measure),
}

/// Every plan of a catalog, and which plain rules feed which.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    list: Vec<Plan>,
    /// By the index of a plain rule: the plans (by index in `list`) that its matches feed.
    feeds: Vec<Vec<u16>>,
    /// By rule index: the plan of that rule.
    of_rule: Vec<Option<u16>>,
    /// The plans (by index in `list`) that take from tallies.
    measured: Vec<(u16, Measure)>,
}

impl Plan {
    /// The width of a bucket in milliseconds: a sixteenth of the timespan, at least a second.
    pub fn bucket(&self) -> i64 {
        (self.timespan / GRAIN).max(SECOND)
    }

    /// Whether findings list the clients that gave events: where the entity is not one client, and the events are the
    /// clients' doing. Errors and slowness are the service's own.
    pub fn blames_members(&self) -> bool {
        let own = matches!(self.kind, PlanKind::Measure(Measure::ErrorShare | Measure::DurationSeconds));
        self.entity != EntityKind::Client && !own
    }

    fn of_correlation(rule: RuleIndex, written: &Rule, correlation: &Correlation) -> Plan {
        let kind = match (written.sekisho.measure, correlation.kind) {
            (Some(measure), _) => PlanKind::Measure(measure),
            (None, CorrelationKind::ValueCount) => PlanKind::Distinct,
            (None, CorrelationKind::EventCount | CorrelationKind::ValueAverage) => PlanKind::Events,
        };
        Plan {
            rule,
            kind,
            group_by: correlation.group_by.clone(),
            value: correlation.field.clone(),
            timespan: correlation.timespan,
            condition: correlation.condition.clone(),
            events_min: written.sekisho.events_min,
            entity: written.sekisho.entity,
            after: None,
        }
    }

    fn of_plain(rule: RuleIndex, written: &Rule) -> Plan {
        Plan {
            rule,
            kind: PlanKind::Events,
            group_by: entity_field(written.sekisho.entity).into_iter().collect(),
            value: None,
            timespan: TIMESPAN_DEFAULT,
            condition: vec![(Comparison::AtLeast, 1.0)],
            events_min: 0,
            entity: written.sekisho.entity,
            after: None,
        }
    }
}

impl Plans {
    /// Plans every alerting rule. References must have been checked: unknown ones feed nothing.
    pub fn new(rules: &[Rule]) -> Plans {
        let feeds = vec![Vec::new(); rules.len()];
        let mut plans = Plans { feeds, of_rule: vec![None; rules.len()], ..Plans::default() };
        for (index, rule) in rules.iter().enumerate() {
            plans.add(rules, index, rule);
        }
        for plan in 0..plans.list.len() {
            let after = rules[plans.list[plan].rule.0 as usize].sekisho.after.as_deref();
            plans.list[plan].after = after.and_then(|name| find(rules, name)).map(|i| RuleIndex(i as u16));
        }
        plans
    }

    fn add(&mut self, rules: &[Rule], index: usize, rule: &Rule) {
        let plan = match &rule.body {
            Body::Correlation(correlation) => Plan::of_correlation(RuleIndex(index as u16), rule, correlation),
            Body::Detection(_) if is_block(rules, rule) => return,
            Body::Detection(_) => Plan::of_plain(RuleIndex(index as u16), rule),
        };
        let number = self.list.len() as u16;
        match &rule.body {
            Body::Correlation(correlation) => {
                for counted in correlation.rules.iter().filter_map(|name| find(rules, name)) {
                    self.feeds[counted].push(number);
                }
            }
            Body::Detection(_) => self.feeds[index].push(number),
        }
        self.of_rule[index] = Some(number);
        if let PlanKind::Measure(measure) = plan.kind {
            self.measured.push((number, measure));
        }
        self.list.push(plan);
    }

    /// All plans, in rule order.
    pub fn list(&self) -> &[Plan] {
        &self.list
    }

    /// The plans that matches of a plain rule feed.
    pub fn fed_by(&self, rule: RuleIndex) -> impl Iterator<Item = &Plan> {
        self.feeds.get(rule.0 as usize).into_iter().flatten().map(|plan| &self.list[*plan as usize])
    }

    /// The plan of an alerting rule.
    pub fn of(&self, rule: RuleIndex) -> Option<&Plan> {
        self.of_rule.get(rule.0 as usize).copied().flatten().map(|plan| &self.list[plan as usize])
    }

    /// The index in [`Plans::list`] of an alerting rule's plan.
    pub fn index_of(&self, rule: RuleIndex) -> Option<u16> {
        self.of_rule.get(rule.0 as usize).copied().flatten()
    }

    /// Whether another rule counts only after a finding of this one.
    pub fn is_awaited(&self, rule: RuleIndex) -> bool {
        self.list.iter().any(|plan| plan.after == Some(rule))
    }

    /// The plans that take from tallies.
    pub fn measured(&self) -> impl Iterator<Item = (&Plan, Measure)> {
        self.measured.iter().map(|(plan, measure)| (&self.list[usize::from(*plan)], *measure))
    }

    /// Whether matching a plain rule has any effect beyond what tallies already carry.
    pub fn wants(&self, rule: RuleIndex) -> bool {
        self.fed_by(rule).any(|plan| !matches!(plan.kind, PlanKind::Measure(_)))
    }
}

/// Whether a plain rule is only counted by correlations and does not alert on its own.
pub fn is_block(rules: &[Rule], rule: &Rule) -> bool {
    let counted_by = |other: &Rule| match &other.body {
        Body::Correlation(correlation) => {
            let named = correlation.rules.iter().any(|name| *name == rule.name || *name == rule.id);
            named.then_some(correlation.generate)
        }
        Body::Detection(_) => None,
    };
    let mut counted = rules.iter().filter_map(counted_by).peekable();
    counted.peek().is_some() && counted.all(|generate| !generate)
}

fn find(rules: &[Rule], name: &str) -> Option<usize> {
    rules.iter().position(|rule| rule.name == name || rule.id == name)
}

/// The field that holds an entity of this kind.
pub fn entity_field(kind: EntityKind) -> Option<Field> {
    match kind {
        EntityKind::Client | EntityKind::Network => Some(Field::Address(Address::ClientIp)),
        EntityKind::User => Some(Field::Text(Text::UserName)),
        EntityKind::Service => Some(Field::Text(Text::ServiceName)),
        EntityKind::Asn => Some(Field::of("client.as.number")),
        EntityKind::Country => Some(Field::Text(Text::ClientCountry)),
        EntityKind::Host => Some(Field::Text(Text::HostName)),
        EntityKind::Global => None,
    }
}
