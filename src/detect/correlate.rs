//! Signals and tallies → findings: every rule's windows, and what a firing says. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{
    Address, Client, DAY, Entity, EntityKind, Field, Finding, Input, RuleIndex, Signal, Tally, Text, Time, Value,
    client_key,
};

use super::plan::{Plan, PlanKind, Plans};
use super::rule::Measure;
use super::window::{Arrival, Entry, Firing, InputIndex, KEYS_MAX, Saved, Table, TableCounters};

/// Entities remembered for rules that count only after another rule's finding. They are few: only findings enter.
const PRIOR_MAX: usize = 100_000;

/// The windows of all rules.
#[derive(Clone, Debug)]
pub struct Correlator {
    plans: Arc<Plans>,
    /// Names of services, by [`ServiceIndex`].
    services: Arc<[String]>,
    /// The same as values of a group-by.
    service_values: Vec<Value>,
    windows: Windows,
}

/// What changes with every arrival.
#[derive(Clone, Debug)]
struct Windows {
    table: Table,
    prior: Prior,
}

/// The state of a [`Correlator`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    table: Saved,
    prior: Prior,
}

/// When rules that others wait for last concluded something about an entity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<(PriorKey, Time)>", into = "Vec<(PriorKey, Time)>")]
struct Prior {
    found: BTreeMap<PriorKey, Time>,
}

/// A rule that others wait for, and the group-by values of its finding.
type PriorKey = (RuleIndex, Box<[Value]>);

/// Where an arrival comes from, and when the journal took it.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub input: InputIndex,
    pub inputs: &'a [Input],
    pub appended_at: Time,
}

impl Correlator {
    /// No windows yet. `seed` cannot be seen in any result (see [`Table::new`]).
    pub fn new(plans: Arc<Plans>, services: Arc<[String]>, seed: u64) -> Correlator {
        let service_values = services.iter().map(|name| Value::Text(name.as_str().into())).collect();
        let windows = Windows { table: Table::new(KEYS_MAX, seed), prior: Prior::default() };
        Correlator { plans, services, service_values, windows }
    }

    /// Counters of the table of keys.
    pub fn counters(&self) -> TableCounters {
        self.windows.table.counters()
    }

    /// The state, to be written to a snapshot.
    pub fn save(&self) -> Snapshot {
        Snapshot { table: self.windows.table.save(), prior: self.windows.prior.clone() }
    }

    /// Takes up the state of a snapshot.
    pub fn restore(&mut self, snapshot: Snapshot, seed: u64) {
        self.windows = Windows { table: Table::restore(snapshot.table, KEYS_MAX, seed), prior: snapshot.prior };
    }

    /// Takes a signal in.
    pub fn signal(&mut self, signal: &Signal, origin: Origin<'_>) -> Option<Finding> {
        let Correlator { plans, services, windows, .. } = self;
        let plan = plans.of(signal.rule)?;
        let awaited = plan.after.and_then(|rule| plans.of(rule));
        if !windows.prior.allows(plan, awaited, &signal.group, signal.time) {
            return None;
        }
        let arrival = Arrival {
            input: origin.input,
            time: signal.time,
            count: 1,
            sum: match (plan.kind, &signal.value) {
                (PlanKind::Measure(_), Some(Value::Number(number))) => (*number).max(0) as u64,
                (PlanKind::Measure(_) | PlanKind::Events | PlanKind::Distinct, _) => 0,
            },
            value: signal.value.as_ref(),
            client: signal.client,
            service: signal.service,
            first: signal.place,
            last: signal.place,
        };
        windows.add((plans, services), plan, &signal.group, (&arrival, origin))
    }

    /// Takes a tally in: every rule that measures traffic sees it.
    pub fn tally(&mut self, tally: &Tally, origin: Origin<'_>, out: &mut Vec<Finding>) {
        let Correlator { plans, services, service_values, windows } = self;
        let service = usize::from(tally.service.0);
        let client = tally.client.map(|client| [Value::Client(client.key())]);
        for (plan, measure) in plans.measured() {
            let (count, sum) = measured(measure, tally);
            if count == 0 {
                continue;
            }
            let other;
            let group = match plan.group_by[..] {
                [Field::Address(Address::ClientIp)] => client.as_ref().map(|key| &key[..]),
                [Field::Text(Text::ServiceName)] => service_values.get(service..=service),
                _ => {
                    other = group_of(plan, tally.client, &services[service]);
                    other.as_deref()
                }
            };
            let Some(group) = group else { continue };
            let arrival = Arrival {
                input: origin.input,
                time: Time(tally.second * crate::event::SECOND),
                count,
                sum,
                value: None,
                client: tally.client,
                service: tally.service,
                first: tally.first,
                last: tally.last,
            };
            out.extend(windows.add((plans, services), plan, group, (&arrival, origin)));
        }
    }
}

impl Windows {
    fn add(
        &mut self,
        (plans, services): (&Plans, &[String]),
        plan: &Plan,
        group: &[Value],
        (arrival, origin): (&Arrival<'_>, Origin<'_>),
    ) -> Option<Finding> {
        let index = plans.index_of(plan.rule)?;
        let (firing, entry) = self.table.add(plans.list(), index, group, arrival)?;
        let finding = finding_of(plan, entry, firing, (arrival, origin), services);
        if plans.is_awaited(plan.rule) {
            self.prior.note(plan.rule, group, arrival.time);
        }
        Some(finding)
    }
}

impl Prior {
    /// Whether a plan may count now: always, or after a finding of the rule it waits for about the same first values.
    fn allows(&self, plan: &Plan, awaited: Option<&Plan>, group: &[Value], time: Time) -> bool {
        let Some(awaited) = awaited else { return plan.after.is_none() };
        let Some(same) = group.get(..awaited.group_by.len()) else { return false };
        let found = self.found.get(&(awaited.rule, same.into()));
        found.is_some_and(|at| time.since(*at).abs() <= plan.timespan)
    }

    fn note(&mut self, rule: RuleIndex, group: &[Value], time: Time) {
        if self.found.len() == PRIOR_MAX {
            self.found.retain(|_, at| time.since(*at) < DAY);
        }
        if self.found.len() < PRIOR_MAX {
            self.found.insert((rule, group.into()), time);
        }
    }
}

impl From<Vec<(PriorKey, Time)>> for Prior {
    fn from(list: Vec<(PriorKey, Time)>) -> Self {
        Prior { found: list.into_iter().collect() }
    }
}

impl From<Prior> for Vec<(PriorKey, Time)> {
    fn from(prior: Prior) -> Self {
        prior.found.into_iter().collect()
    }
}

/// What a measure takes from a tally: how many events, and what they add to the sum.
fn measured(measure: Measure, tally: &Tally) -> (u32, u64) {
    let counts = &tally.counts;
    match measure {
        Measure::Requests => (counts.requests, 0),
        Measure::ErrorShare => (counts.requests, u64::from(counts.errors)),
        Measure::DurationSeconds => (counts.timed, counts.duration_ms),
    }
}

/// The group-by values of a plan over tallies; `None` where a value is missing.
pub fn group_of(plan: &Plan, client: Option<Client>, service: &str) -> Option<Vec<Value>> {
    let value = |field: &Field| match field {
        Field::Address(Address::ClientIp) => client.map(|client| Value::Client(client.key())),
        Field::Text(Text::ServiceName) => Some(Value::Text(service.into())),
        Field::Address(_)
        | Field::Text(_)
        | Field::Number(_)
        | Field::Extra(_)
        | Field::Timestamp
        | Field::Original
        | Field::Category
        | Field::Type
        | Field::Tags => None,
    };
    plan.group_by.iter().map(value).collect()
}

fn finding_of(
    plan: &Plan,
    entry: &Entry,
    firing: Firing,
    (arrival, origin): (&Arrival<'_>, Origin<'_>),
    services: &[String],
) -> Finding {
    let grouped = |field: &Field| plan.group_by.iter().position(|f| f == field).map(|i| &entry.group[i]);
    let text = |value: Option<&Value>| value.map(|value| value.to_string().into_boxed_str());
    let user = text(grouped(&Field::Text(Text::UserName)));
    let counts_users = plan.value == Some(Field::Text(Text::UserName));
    let (members, members_total) = entry.members();
    let entity = entity_of(plan, entry, services);
    let is_client = entity.kind == EntityKind::Client;
    Finding {
        rule: plan.rule,
        entity,
        group: (*entry.group).into(),
        window: firing.window,
        count: firing.count,
        evidence: entry.trace.evidence(origin.inputs),
        evidence_total: firing.events,
        spans: entry.trace.spans(origin.inputs),
        client: if is_client { entry.client } else { None },
        service: Some(services[entry.service.0 as usize].as_str().into()),
        user,
        users: if counts_users { entry.sampled_texts() } else { Vec::new() },
        members,
        members_total,
        time: arrival.time,
        appended_at: origin.appended_at,
        firing: firing.number,
    }
}

/// The entity of a key: its group-by value of that kind, or what the trigger says.
fn entity_of(plan: &Plan, entry: &Entry, services: &[String]) -> Entity {
    let value = match plan.entity {
        EntityKind::Client => entry.client.map(|client| Value::Client(client_key(client.address)).to_string()),
        EntityKind::Service => Some(services[entry.service.0 as usize].clone()),
        EntityKind::Global => Some("all".to_owned()),
        EntityKind::Network | EntityKind::User | EntityKind::Asn | EntityKind::Country | EntityKind::Host => None,
    };
    let first = || entry.group.first().map(ToString::to_string).unwrap_or_default();
    Entity { kind: plan.entity, value: value.unwrap_or_else(first) }
}
